//! AdaLoRA in PEFT's files.

use burn::module::Module;
use burn::tensor::{DType, Tensor, TensorData};
use peft_core::{AttachReport, PeftError};
use peft_lora::{AdaLora, AdaLoraConfig};
use serde_json::{Map, Value, json};

use super::super::placement::{bias_value, read_bias, read_placement};
use super::super::tensors::{LayerTensors, TensorsFile, built};
use super::lora::{LORA_UNSUPPORTED, is_default, number};
use super::{
    DefaultTargets, ExcessiveRank, LayerAdapter, LayerForm, WeightMethod, insert, lora_targets,
};
use crate::fields::{FieldError, Fields};

const E: &str = "lora_E";

impl WeightMethod for AdaLoraConfig {
    type Adapter = AdaLora;
    const PEFT_TYPE: &'static str = "ADALORA";
    const TENSORS: &'static [&'static str] = &["lora_A", "lora_B", E];

    fn read(fields: &Fields<'_>) -> Result<Self, FieldError> {
        for field in
            LORA_UNSUPPORTED
                .into_iter()
                .chain(["lora_bias", "trainable_token_indices", "use_dora"])
        {
            if !is_default(fields.get(field)) {
                return Err(fields.unsupported(field, "null"));
            }
        }
        let mut placement = read_placement(fields)?;
        placement.train_bias = read_bias(fields, None)?;
        let init_rank = fields.count_or("init_r", 12)?;
        let expected = "an object of lists of true and false, one of `init_r` for each layer";
        let ranks = fields.read("rank_pattern", expected, |value| {
            let layers = value.as_object()?.iter();
            layers
                .map(|(key, ranks)| {
                    let (path, _) = key.split_once(".lora_E")?;
                    let ranks = ranks.as_array()?.iter().map(Value::as_bool);
                    let ranks = ranks.collect::<Option<Vec<bool>>>()?;
                    let path = path.trim_start_matches("base_model.model.");
                    (ranks.len() == init_rank).then(|| (path.to_owned(), ranks))
                })
                .collect::<Option<Vec<_>>>()
        })?;
        // As PEFT has it, which then divides by the rank again.
        let alpha = match fields.number_or_default("lora_alpha", 8.0)? {
            alpha if alpha > 0.0 => alpha,
            _ => init_rank as f64,
        };
        Ok(Self {
            init_rank,
            target_rank: fields.count_or("target_r", 8)?.clamp(1, init_rank.max(1)),
            alpha,
            dropout: fields.number_or_default("lora_dropout", 0.0)?,
            t_init: fields.count_or("tinit", 0)?,
            t_final: fields.count_or("tfinal", 0)?,
            delta_t: fields.count_or("deltaT", 1)?,
            beta_1: fields.number_or_default("beta1", 0.85)?,
            beta_2: fields.number_or_default("beta2", 0.85)?,
            orthogonal_weight: fields.number_or_default("orth_reg_weight", 0.5)?,
            total_steps: Some(fields.count_or("total_step", 0)?).filter(|steps| *steps > 0),
            ranks: ranks.unwrap_or_default(),
            placement,
        })
    }

    fn write(&self, fields: &mut Map<String, Value>, adapted: &[LayerAdapter<'_, AdaLora>]) {
        let ranks = adapted.iter().map(|on| (on.path, on.adapter.ranks()));
        let ranks: Vec<(&str, Vec<bool>)> = ranks.collect();
        let pattern: Option<Map<String, Value>> = ranks
            .iter()
            .any(|(_, ranks)| ranks.contains(&false))
            .then(|| {
                let layers = ranks.iter();
                let entry =
                    |(path, ranks): &(&str, Vec<bool>)| (format!("{path}.{E}"), json!(ranks));
                layers.map(entry).collect()
            });
        // PEFT reads no file without a step in which the budget falls.
        let least = self.t_init.saturating_add(self.t_final).saturating_add(1);
        let own = json!({
            "beta1": self.beta_1,
            "beta2": self.beta_2,
            "bias": bias_value(self.placement.train_bias, "none"),
            "deltaT": self.delta_t,
            "init_lora_weights": true,
            "init_r": self.init_rank,
            "lora_alpha": number(self.alpha),
            "lora_dropout": self.dropout,
            "orth_reg_weight": self.orthogonal_weight,
            "r": 8,
            "rank_pattern": pattern,
            "target_r": self.target_rank,
            "tfinal": self.t_final,
            "tinit": self.t_init,
            "total_step": self.total_steps.unwrap_or(least).max(least),
        });
        insert(fields, own);
    }

    fn default_targets(family: &str) -> DefaultTargets {
        match family {
            // PEFT has none for these.
            "modernbert" | "distilbert" => Vec::new(),
            family => lora_targets(family),
        }
    }

    fn excessive_rank(&self, adapted: &[String], file: &TensorsFile) -> Option<ExcessiveRank> {
        let largest = file.largest_rank("lora_").filter(|largest| *largest > 0)?;
        let told = |path: &String| self.ranks.iter().any(|(layer, _)| layer == path);
        let all = adapted.iter().any(|path| !told(path));
        (all && self.init_rank > largest).then_some(ExcessiveRank {
            field: "init_r",
            rank: self.init_rank,
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
        self.attach_with(model, name, |layer, kept| {
            let [d_in, d_out] = layer.shape;
            let rank = kept.iter().filter(|kept| **kept).count();
            let a = file.matrix(Some(layer), "lora_A", [rank, d_in]);
            let e = file.take::<2>(Some(layer), E, [rank, 1]);
            let b = file.matrix(Some(layer), "lora_B", [d_out, rank]);
            let (a, (e, b)) = built(a.zip(e.zip(b)))?;
            let parts = match rank {
                // A layer of which nothing is left has one that does nothing.
                0 => {
                    let on = (&layer.device, DType::F32);
                    (
                        Tensor::zeros([d_in, 1], on),
                        Tensor::zeros([1], on),
                        Tensor::zeros([1, d_out], on),
                    )
                }
                _ => (a, e.reshape([rank]), b),
            };
            let kept = kept.to_vec();
            Ok(AdaLora::new(parts, self.alpha, kept, self.dropout))
        })
    }

    fn tensors(adapter: &AdaLora, _on: &LayerForm) -> Vec<(&'static str, TensorData)> {
        let Some((a, e, b)) = adapter.parts_left() else {
            let [d_in, d_out] = adapter.sides();
            let none = |shape: [usize; 2]| TensorData::new(Vec::<f32>::new(), shape);
            return vec![
                ("lora_A", none([0, d_in])),
                ("lora_B", none([d_out, 0])),
                (E, none([0, 1])),
            ];
        };
        let [rank] = e.dims();
        vec![
            ("lora_A", a.transpose().into_data()),
            ("lora_B", b.transpose().into_data()),
            (E, e.reshape([rank, 1]).into_data()),
        ]
    }
}
