//! OFT, BOFT, HRA and RoAd in PEFT's files.

use burn::module::Module;
use burn::tensor::TensorData;
use peft_core::{AttachReport, PeftError};
use peft_oft::{
    Blocks, Boft, BoftConfig, Cayley, Hra, HraConfig, Oft, OftConfig, Road, RoadConfig, RoadVariant,
};
use serde_json::{Map, Value, json};

use super::super::placement::{LayerFields, bias_value, read_bias, read_placement};
use super::super::tensors::{LayerTensors, built};
use super::{LayerAdapter, LayerForm, WeightMethod, insert};
use crate::fields::{FieldError, Fields};

/// How many blocks there are, or how large each is: one of two fields, the other is 0.
fn read_blocks(
    fields: &Fields<'_>,
    [number, size]: [&str; 2],
    default: usize,
) -> Result<Blocks, FieldError> {
    match (fields.count_or(number, 0)?, fields.count_or(size, default)?) {
        (0, size) if size > 0 => Ok(Blocks::Size(size)),
        (n, 0) if n > 0 => Ok(Blocks::Number(n)),
        _ => Err(fields.wrong(
            number,
            format!("0 beside a `{size}`, or the other way round"),
        )),
    }
}

fn write_blocks(blocks: Blocks, [number, size]: [&str; 2]) -> Value {
    let (n, b) = match blocks {
        Blocks::Size(b) => (0, b),
        Blocks::Number(n) => (n, 0),
    };
    json!({ number: n, size: b })
}

const OFT_BLOCKS: [&str; 2] = ["r", "oft_block_size"];
const OFT_R: &str = "oft_R.weight";

impl WeightMethod for OftConfig {
    type Adapter = Oft;
    const PEFT_TYPE: &'static str = "OFT";
    const TENSORS: &'static [&'static str] = &["oft_R"];

    fn read(fields: &Fields<'_>) -> Result<Self, FieldError> {
        if fields.flag("coft")? {
            return Err(fields.unsupported("coft", "false"));
        }
        let mut placement = read_placement(fields)?;
        placement.train_bias = read_bias(fields, Some("oft_only"))?;
        let terms = fields.count_or("num_cayley_neumann_terms", 5)?;
        Ok(Self {
            blocks: read_blocks(fields, OFT_BLOCKS, 32)?,
            share: fields.flag("block_share")?,
            cayley: match fields.flag_or("use_cayley_neumann", true)? {
                true => Cayley::Series(terms),
                false => Cayley::Exact,
            },
            placement,
        })
    }

    fn write(&self, fields: &mut Map<String, Value>, _: &[LayerAdapter<'_, Oft>]) {
        let terms = match self.cayley {
            Cayley::Series(terms) => Some(terms),
            Cayley::Exact => None,
        };
        let own = json!({
            "bias": bias_value(self.placement.train_bias, "oft_only"),
            "block_share": self.share,
            "coft": false,
            "eps": 6e-5,
            "init_weights": true,
            "module_dropout": 0.0,
            "num_cayley_neumann_terms": terms.unwrap_or(5),
            "use_cayley_neumann": terms.is_some(),
        });
        insert(fields, own);
        insert(fields, write_blocks(self.blocks, OFT_BLOCKS));
    }

    fn attach<M: Module>(&self, model: &mut M, name: &str) -> Result<AttachReport, PeftError> {
        Self::attach(self, model, name)
    }

    fn attach_from<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        file: &mut LayerTensors<'_>,
    ) -> Result<AttachReport, PeftError> {
        self.attach_with(model, name, |layer, shape| {
            built(file.take(Some(layer), OFT_R, shape))
        })
    }

    fn tensors(oft: &Oft, _on: &LayerForm) -> Vec<(&'static str, TensorData)> {
        vec![(OFT_R, oft.numbers.val().into_data())]
    }
}

const BOFT_BLOCKS: [&str; 2] = ["boft_block_num", "boft_block_size"];

impl WeightMethod for BoftConfig {
    type Adapter = Boft;
    const PEFT_TYPE: &'static str = "BOFT";
    const TENSORS: &'static [&'static str] = &["boft_R", "boft_s"];

    fn read(fields: &Fields<'_>) -> Result<Self, FieldError> {
        if fields.number_or_default("boft_dropout", 0.0)? != 0.0 {
            return Err(fields.unsupported("boft_dropout", "0"));
        }
        let mut placement = read_placement(fields)?;
        placement.train_bias = read_bias(fields, Some("boft_only"))?;
        Ok(Self {
            blocks: read_blocks(fields, BOFT_BLOCKS, 4)?,
            factors: fields.count_or("boft_n_butterfly_factor", 1)?,
            placement,
        })
    }

    fn write(&self, fields: &mut Map<String, Value>, _: &[LayerAdapter<'_, Boft>]) {
        let own = json!({
            "bias": bias_value(self.placement.train_bias, "boft_only"),
            "boft_dropout": 0.0,
            "boft_n_butterfly_factor": self.factors,
            "init_weights": true,
        });
        insert(fields, own);
        insert(fields, write_blocks(self.blocks, BOFT_BLOCKS));
    }

    fn attach<M: Module>(&self, model: &mut M, name: &str) -> Result<AttachReport, PeftError> {
        Self::attach(self, model, name)
    }

    fn attach_from<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        file: &mut LayerTensors<'_>,
    ) -> Result<AttachReport, PeftError> {
        self.attach_with(model, name, |layer, shape| {
            let [_, d_out] = layer.shape;
            let matrices = file.take(Some(layer), "boft_R", shape);
            let scales = file.take::<2>(Some(layer), "boft_s", [d_out, 1]);
            built(matrices.zip(scales.map(|scales| scales.reshape([d_out]))))
        })
    }

    fn tensors(boft: &Boft, _on: &LayerForm) -> Vec<(&'static str, TensorData)> {
        let scales = boft.scales.val();
        let [d_out] = scales.dims();
        vec![
            ("boft_R", boft.matrices.val().into_data()),
            ("boft_s", scales.reshape([d_out, 1]).into_data()),
        ]
    }
}

impl WeightMethod for HraConfig {
    type Adapter = Hra;
    const PEFT_TYPE: &'static str = "HRA";
    const TENSORS: &'static [&'static str] = &["hra_u"];
    const LAYER_FIELDS: LayerFields = LayerFields::CHOICE;

    fn read(fields: &Fields<'_>) -> Result<Self, FieldError> {
        if fields.flag("apply_GS")? {
            return Err(fields.unsupported("apply_GS", "false"));
        }
        let mut placement = read_placement(fields)?;
        placement.train_bias = read_bias(fields, Some("hra_only"))?;
        Ok(Self {
            rank: fields.count_or("r", 8)?,
            placement,
        })
    }

    fn write(&self, fields: &mut Map<String, Value>, _: &[LayerAdapter<'_, Hra>]) {
        let own = json!({
            "apply_GS": false,
            "bias": bias_value(self.placement.train_bias, "hra_only"),
            "init_weights": true,
            "r": self.rank,
        });
        insert(fields, own);
    }

    fn attach<M: Module>(&self, model: &mut M, name: &str) -> Result<AttachReport, PeftError> {
        Self::attach(self, model, name)
    }

    fn attach_from<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        file: &mut LayerTensors<'_>,
    ) -> Result<AttachReport, PeftError> {
        self.attach_with(model, name, |layer| {
            built(file.take(Some(layer), "hra_u", [layer.shape[0], self.rank]))
        })
    }

    fn tensors(hra: &Hra, _on: &LayerForm) -> Vec<(&'static str, TensorData)> {
        vec![("hra_u", hra.vectors.val().into_data())]
    }
}

/// The variants of RoAd by PEFT's names.
const VARIANTS: [(&str, RoadVariant); 3] = [
    ("road_1", RoadVariant::Pair),
    ("road_2", RoadVariant::Output),
    ("road_4", RoadVariant::Both),
];

impl WeightMethod for RoadConfig {
    type Adapter = Road;
    const PEFT_TYPE: &'static str = "ROAD";
    const TENSORS: &'static [&'static str] = &["road_theta", "road_alpha"];
    const LAYER_FIELDS: LayerFields = LayerFields {
        exclude: false,
        layers: false,
        fan_in_fan_out: false,
    };

    fn read(fields: &Fields<'_>) -> Result<Self, FieldError> {
        let variant = fields.read("variant", "road_1, road_2 or road_4", |value| {
            let mut variants = VARIANTS.into_iter();
            variants.find(|(name, _)| value == name)
        })?;
        Ok(Self {
            variant: variant.map(|(_, variant)| variant).unwrap_or_default(),
            group: fields.count_or("group_size", 64)?,
            placement: read_placement(fields)?,
        })
    }

    fn write(&self, fields: &mut Map<String, Value>, _: &[LayerAdapter<'_, Road>]) {
        let mut variants = VARIANTS.into_iter();
        let variant = variants.find(|(_, variant)| *variant == self.variant);
        let own = json!({
            "group_size": self.group,
            "init_weights": true,
            "variant": variant.map(|(name, _)| name),
        });
        insert(fields, own);
    }

    fn attach<M: Module>(&self, model: &mut M, name: &str) -> Result<AttachReport, PeftError> {
        Self::attach(self, model, name)
    }

    fn attach_from<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        file: &mut LayerTensors<'_>,
    ) -> Result<AttachReport, PeftError> {
        self.attach_with(model, name, |layer, n| {
            let theta = file.take(Some(layer), "road_theta", [n]);
            let alpha = file.take(Some(layer), "road_alpha", [n]);
            built(theta.zip(alpha)).map(|(theta, alpha)| [theta, alpha])
        })
    }

    fn tensors(road: &Road, _on: &LayerForm) -> Vec<(&'static str, TensorData)> {
        vec![
            ("road_theta", road.theta.val().into_data()),
            ("road_alpha", road.alpha.val().into_data()),
        ]
    }
}
