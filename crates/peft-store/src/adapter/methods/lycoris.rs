//! LoHa and LoKr in PEFT's files.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData};
use peft_core::{AttachReport, Patterns, PeftError};
use peft_lycoris::{Factor, LoHa, LoHaConfig, LoKr, LoKrConfig, LycorisSettings};
use serde_json::{Map, Value, json};

use super::super::fields::as_f32_number;
use super::super::placement::{LayerFields, read_placement};
use super::super::tensors::{LayerTensors, built};
use super::lora::number;
use super::{LayerAdapter, LayerForm, WeightMethod, insert};
use crate::fields::{FieldError, Fields, as_count};

const LAYER_FIELDS: LayerFields = LayerFields::CHOICE;

fn read_settings(fields: &Fields<'_>) -> Result<LycorisSettings, FieldError> {
    Ok(LycorisSettings {
        rank: fields.count_or("r", 8)?,
        alpha: fields.number_or_default("alpha", 8.0)?,
        rank_pattern: Patterns::new(fields.patterns("rank_pattern", as_count)?),
        alpha_pattern: Patterns::new(fields.patterns("alpha_pattern", as_f32_number)?),
        rank_dropout: fields.number_or_default("rank_dropout", 0.0)?,
        module_dropout: fields.number_or_default("module_dropout", 0.0)?,
        placement: read_placement(fields)?,
    })
}

fn write_settings(of: &LycorisSettings, fields: &mut Map<String, Value>) {
    let alphas = of.alpha_pattern.iter();
    let alphas: Map<String, Value> = alphas
        .map(|(at, alpha)| (at.to_owned(), number(*alpha)))
        .collect();
    let ranks = of.rank_pattern.iter();
    let ranks: Map<String, Value> = ranks
        .map(|(at, rank)| (at.to_owned(), json!(rank)))
        .collect();
    let own = json!({
        "alpha": number(of.alpha),
        "alpha_pattern": alphas,
        "init_weights": true,
        "module_dropout": of.module_dropout,
        "r": of.rank,
        "rank_dropout": of.rank_dropout,
        "rank_pattern": ranks,
        "use_effective_conv2d": false,
    });
    insert(fields, own);
}

fn keep_patterns(of: &mut LycorisSettings, layers: &[String]) {
    let paths: Vec<&str> = layers.iter().map(String::as_str).collect();
    of.rank_pattern = of.rank_pattern.matching_any(&paths);
    of.alpha_pattern = of.alpha_pattern.matching_any(&paths);
}

impl WeightMethod for LoHaConfig {
    type Adapter = LoHa;
    const PEFT_TYPE: &'static str = "LOHA";
    const TENSORS: &'static [&'static str] = &["hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"];
    const LAYER_FIELDS: LayerFields = LAYER_FIELDS;

    fn read(fields: &Fields<'_>) -> Result<Self, FieldError> {
        let settings = read_settings(fields)?;
        Ok(Self { settings })
    }

    fn write(&self, fields: &mut Map<String, Value>, _: &[LayerAdapter<'_, LoHa>]) {
        write_settings(&self.settings, fields);
    }

    fn keep_what_matches(&mut self, layers: &[String]) {
        keep_patterns(&mut self.settings, layers);
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
        self.attach_with(model, name, |layer, rank| {
            let [d_in, d_out] = layer.shape;
            let mut matrix = |name, shape| file.matrix(Some(layer), name, shape);
            let a1 = matrix("hada_w1_a", [d_out, rank]);
            let b1 = matrix("hada_w1_b", [rank, d_in]);
            let a2 = matrix("hada_w2_a", [d_out, rank]);
            let b2 = matrix("hada_w2_b", [rank, d_in]);
            let ((a1, b1), (a2, b2)) = built(a1.zip(b1).zip(a2.zip(b2)))?;
            Ok([a1, b1, a2, b2])
        })
    }

    fn tensors(loha: &LoHa, _on: &LayerForm) -> Vec<(&'static str, TensorData)> {
        vec![
            ("hada_w1_a", out_in(&loha.a1)),
            ("hada_w1_b", out_in(&loha.b1)),
            ("hada_w2_a", out_in(&loha.a2)),
            ("hada_w2_b", out_in(&loha.b2)),
        ]
    }
}

/// The tensors of LoKr by what the adapter calls them.
const LOKR: [(&str, &str); 6] = [
    ("w1", "lokr_w1"),
    ("w1_a", "lokr_w1_a"),
    ("w1_b", "lokr_w1_b"),
    ("w2", "lokr_w2"),
    ("w2_a", "lokr_w2_a"),
    ("w2_b", "lokr_w2_b"),
];

impl WeightMethod for LoKrConfig {
    type Adapter = LoKr;
    const PEFT_TYPE: &'static str = "LOKR";
    const TENSORS: &'static [&'static str] = &[
        LOKR[0].1, LOKR[1].1, LOKR[2].1, LOKR[3].1, LOKR[4].1, LOKR[5].1,
    ];
    const LAYER_FIELDS: LayerFields = LAYER_FIELDS;

    fn read(fields: &Fields<'_>) -> Result<Self, FieldError> {
        let expected = "a whole number above 0, or -1 for the one next to the root";
        let factor = fields.read("decompose_factor", expected, |value| {
            match value.as_i64()? {
                -1 => Some(None),
                n => usize::try_from(n).ok().filter(|n| *n > 0).map(Some),
            }
        })?;
        Ok(Self {
            settings: read_settings(fields)?,
            decompose_both: fields.flag("decompose_both")?,
            factor: factor.flatten(),
            zero_second: fields.text("init_weights") == Some("lycoris"),
            scale_dropout: fields.flag("rank_dropout_scale")?,
        })
    }

    fn write(&self, fields: &mut Map<String, Value>, _: &[LayerAdapter<'_, LoKr>]) {
        write_settings(&self.settings, fields);
        let own = json!({
            "decompose_both": self.decompose_both,
            "decompose_factor": self.factor.map_or(json!(-1), |factor| json!(factor)),
            "init_weights": if self.zero_second { json!("lycoris") } else { json!(true) },
            "rank_dropout_scale": self.scale_dropout,
        });
        insert(fields, own);
    }

    fn keep_what_matches(&mut self, layers: &[String]) {
        keep_patterns(&mut self.settings, layers);
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
        self.attach_with(model, name, |layer, which, [inputs, outputs]| {
            let key = LOKR.iter().find(|(own, _)| *own == which);
            let key = key.map_or(which, |(_, key)| key);
            built(file.matrix(Some(layer), key, [outputs, inputs]))
        })
    }

    fn tensors(lokr: &LoKr, _on: &LayerForm) -> Vec<(&'static str, TensorData)> {
        let of = |factor: &Factor, [whole, a, b]: [&'static str; 3]| match factor {
            Factor::Whole(matrix) => vec![(whole, out_in(matrix))],
            Factor::Product(product) => vec![(a, out_in(&product.a)), (b, out_in(&product.b))],
        };
        let mut tensors = of(&lokr.first, ["lokr_w1", "lokr_w1_a", "lokr_w1_b"]);
        tensors.extend(of(&lokr.second, ["lokr_w2", "lokr_w2_a", "lokr_w2_b"]));
        tensors
    }
}

/// A matrix as it lies in a file, `[out, in]`.
fn out_in(matrix: &Param<Tensor<2>>) -> TensorData {
    matrix.val().transpose().into_data()
}
