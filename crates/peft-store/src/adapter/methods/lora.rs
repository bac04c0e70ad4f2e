//! LoRA in PEFT's files.

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use peft_core::{AttachReport, LayerKind, Patterns, PeftError};
use peft_lora::{Lora, LoraConfig, LoraInit, LoraScaling};
use serde_json::{Map, Value, json};

use super::super::fields::as_f32_number;
use super::super::placement::{bias_value, read_bias, read_placement};
use super::super::tensors::{LayerTensors, TensorsFile, built};
use super::super::token_rows::{read_choice, write_choice};
use super::{ExcessiveRank, LayerAdapter, LayerForm, WeightMethod, insert};
use crate::fields::{FieldError, Fields, as_count};
use crate::params::shaped;

/// Fields that change what LoRA computes and have no counterpart here; each must be absent, null,
/// false or empty.
pub(super) const LORA_UNSUPPORTED: [&str; 12] = [
    "alora_invocation_tokens",
    "arrow_config",
    "ensure_weight_tying",
    "kasa_config",
    "layer_replication",
    "megatron_config",
    "monteclora_config",
    "target_parameters",
    "use_bdlora",
    "use_qalora",
    "velora_config",
    "use_kappatune",
];

impl WeightMethod for LoraConfig {
    type Adapter = Lora;
    const PEFT_TYPE: &'static str = "LORA";
    const TENSORS: &'static [&'static str] = &[
        "lora_A",
        "lora_B",
        "lora_embedding_A",
        "lora_embedding_B",
        MAGNITUDE,
    ];

    fn read(fields: &Fields<'_>) -> Result<Self, FieldError> {
        for field in LORA_UNSUPPORTED {
            if !is_default(fields.get(field)) {
                return Err(fields.unsupported(field, "null"));
            }
        }
        let mut placement = read_placement(fields)?;
        placement.train_bias = read_bias(fields, Some("lora_only"))?;
        placement.token_rows = read_choice(fields)?;
        let init = match fields.get("init_lora_weights") {
            Value::Null | Value::Bool(_) => LoraInit::KaimingUniform,
            Value::String(init) if init == "gaussian" => LoraInit::Gaussian,
            Value::String(init) if init == "orthogonal" => LoraInit::Orthogonal,
            // These start the factors from something else, and leave the base alone.
            Value::String(init) if ["eva", "mica"].contains(&init.as_str()) => {
                LoraInit::KaimingUniform
            }
            // The others subtract their first product from the base weights, which a plain load
            // would not.
            Value::String(_) => {
                return Err(fields.unsupported(
                    "init_lora_weights",
                    "true, false, gaussian, orthogonal, eva, mica",
                ));
            }
            _ => return Err(fields.wrong("init_lora_weights", "true, false or a string")),
        };
        let scaling = match fields.flag("use_rslora")? {
            true => LoraScaling::RankStabilised,
            false => LoraScaling::Standard,
        };
        Ok(Self {
            rank: fields.count_or("r", 8)?,
            alpha: fields.number_or_default("lora_alpha", 8.0)?,
            scaling,
            dropout: fields.number_or_default("lora_dropout", 0.0)?,
            init,
            dora: fields.flag("use_dora")?,
            lora_bias: fields.flag("lora_bias")?,
            freeze_a: false,
            rank_pattern: Patterns::new(fields.patterns("rank_pattern", as_count)?),
            alpha_pattern: Patterns::new(fields.patterns("alpha_pattern", as_f32_number)?),
            placement,
        })
    }

    fn write(&self, fields: &mut Map<String, Value>, _: &[LayerAdapter<'_, Lora>]) {
        let of = self.of_acting();
        let alphas = of.alpha_pattern.iter();
        let alphas: Map<String, Value> = alphas
            .map(|(at, alpha)| (at.to_owned(), number(*alpha)))
            .collect();
        let ranks = of.rank_pattern.iter();
        let ranks: Map<String, Value> = ranks
            .map(|(at, rank)| (at.to_owned(), json!(rank)))
            .collect();
        let own = json!({
            "alora_invocation_tokens": null,
            "alpha_pattern": alphas,
            "arrow_config": null,
            "bias": bias_value(self.placement.train_bias, "lora_only"),
            "corda_config": null,
            "ensure_weight_tying": false,
            "eva_config": null,
            "init_lora_weights": match of.init {
                LoraInit::Gaussian => json!("gaussian"),
                LoraInit::Orthogonal => json!("orthogonal"),
                // These begin with others, and are saved as what acts.
                LoraInit::KaimingUniform
                | LoraInit::Pissa
                | LoraInit::PissaRandomised { .. }
                | LoraInit::Olora
                | LoraInit::LoraGa
                | LoraInit::Corda(_)
                | LoraInit::Loftq
                | LoraInit::Eva => json!(true),
            },
            "kasa_config": null,
            "layer_replication": null,
            "loftq_config": {},
            "lora_alpha": number(of.alpha),
            "lora_bias": self.lora_bias,
            "lora_dropout": self.dropout,
            "lora_ga_config": null,
            "megatron_config": null,
            "megatron_core": "megatron.core",
            "monteclora_config": null,
            "qalora_group_size": 16,
            "r": of.rank,
            "rank_pattern": ranks,
            "target_parameters": null,
            "use_bdlora": null,
            "use_dora": self.dora,
            "use_qalora": false,
            "use_rslora": self.scaling == LoraScaling::RankStabilised,
            "velora_config": null,
        });
        insert(fields, own);
        write_choice(fields, self.placement.token_rows.as_ref());
    }

    fn keep_what_matches(&mut self, layers: &[String]) {
        let paths: Vec<&str> = layers.iter().map(String::as_str).collect();
        self.rank_pattern = self.rank_pattern.matching_any(&paths);
        self.alpha_pattern = self.alpha_pattern.matching_any(&paths);
    }

    fn excessive_rank(&self, adapted: &[String], file: &TensorsFile) -> Option<ExcessiveRank> {
        let largest = file.largest_rank("lora_").filter(|largest| *largest > 0)?;
        let paths: Vec<&str> = adapted.iter().map(String::as_str).collect();
        let asked = self
            .rank_pattern
            .resolve("rank pattern", &paths, &self.rank);
        let rank = asked.ok()?.into_iter().find(|rank| *rank > largest)?;
        let field = match rank == self.rank {
            true => "r",
            false => "rank_pattern",
        };
        Some(ExcessiveRank {
            field,
            rank,
            largest,
        })
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
        let mut undropped = Vec::new();
        let attached = self.attach_with(model, name, |layer, rank, scale| {
            let [d_in, d_out] = layer.shape;
            let [a, b] = factors(layer.kind);
            let form = LayerForm::of(layer);
            let a = file.matrix(Some(layer), a, form.reading([rank, d_in]));
            let b = file.matrix(Some(layer), b, form.point(&[d_out, rank]));
            let mut beside = |has: bool, name, shape: Vec<usize>| match has {
                true => file.vector(Some(layer), name, shape).map(Some),
                false => Some(None),
            };
            let magnitude = beside(self.dora, MAGNITUDE, form.outputs(d_out));
            let has_bias = self.lora_bias && layer.kind != LayerKind::Embedding;
            let bias = beside(has_bias, BIAS, vec![d_out]);
            let ((a, b), (magnitude, bias)) = built(a.zip(b).zip(magnitude.zip(bias)))?;
            let dropout = match layer.kind {
                // Its input is never seen; the file says the same function all the same.
                LayerKind::Conv if self.dropout > 0.0 => {
                    undropped.push(layer.path.clone());
                    0.0
                }
                LayerKind::Conv | LayerKind::Linear | LayerKind::Embedding => self.dropout,
            };
            let lora = Lora::new(a, b, scale, dropout);
            let lora = match magnitude {
                Some(magnitude) => lora.with_magnitude(magnitude),
                None => lora,
            };
            let lora = match bias {
                Some(bias) => lora.with_bias(bias, layer.has_bias),
                None => lora,
            };
            Ok(self.settled(lora, layer))
        });
        let mut report = attached?;
        if !undropped.is_empty() {
            report.warnings.push(format!(
                "the file says a dropout of {}, which is left out on convolutions: {}",
                self.dropout,
                undropped.join(", ")
            ));
        }
        Ok(report)
    }

    fn tensors(lora: &Lora, on: &LayerForm) -> Vec<(&'static str, TensorData)> {
        let [a, b] = factors(on.kind);
        let [of_a, of_b] = lora.acting().map(Tensor::transpose);
        let (shape_a, shape_b) = (on.reading(of_a.dims()), on.point(&of_b.dims()));
        let stored = [(a, of_a, shape_a), (b, of_b, shape_b)].into_iter();
        let stored = stored.map(|(name, factor, shape)| (name, shaped(factor.into_data(), shape)));
        let vectors = lora.magnitude.iter().map(|of| {
            let vector = of.vector.val().into_data();
            let shape = on.outputs(vector.num_elements());
            (MAGNITUDE, shaped(vector, shape))
        });
        let bias = lora.bias.iter().map(|bias| (BIAS, bias.val().into_data()));
        stored.chain(vectors).chain(bias).collect()
    }
}

/// DoRA's vector, `[out]`, on a convolution `[1, out, 1…]`.
const MAGNITUDE: &str = "lora_magnitude_vector";
/// The bias of `B`, `[out]`.
const BIAS: &str = "lora_B.bias";

/// `A`, `[rank, in]` in a file, and `B`, `[out, rank]`; of a convolution kernels, `[rank, channels,
/// sides…]` and `[out, rank, 1…]`.
pub(in super::super) fn factors(kind: LayerKind) -> [&'static str; 2] {
    match kind {
        LayerKind::Embedding => ["lora_embedding_A", "lora_embedding_B"],
        LayerKind::Linear | LayerKind::Conv => ["lora_A.weight", "lora_B.weight"],
    }
}

pub(super) fn is_default(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(values) => values.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::String(_) => false,
    }
}

/// PEFT declares alpha as an integer; whole numbers are written as such.
pub(super) fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        json!(value as i64)
    } else {
        json!(value)
    }
}
