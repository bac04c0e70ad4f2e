//! GraLoRA in PEFT's files.

use burn::module::Module;
use burn::tensor::TensorData;
use peft_core::{AttachReport, PeftError};
use peft_lora::{Gralora, GraloraConfig};
use serde_json::{Map, Value, json};

use super::super::placement::{LayerFields, bias_value, read_bias, read_placement};
use super::super::tensors::{LayerTensors, built};
use super::lora::number;
use super::{LayerAdapter, LayerForm, WeightMethod, insert};
use crate::fields::{FieldError, Fields};

impl WeightMethod for GraloraConfig {
    type Adapter = Gralora;
    const PEFT_TYPE: &'static str = "GRALORA";
    const TENSORS: &'static [&'static str] = &[
        "gralora_A",
        "gralora_B",
        "gralora_A_general",
        "gralora_B_general",
    ];
    const LAYER_FIELDS: LayerFields = LayerFields {
        exclude: false,
        ..LayerFields::ALL
    };

    fn read(fields: &Fields<'_>) -> Result<Self, FieldError> {
        let mut placement = read_placement(fields)?;
        placement.train_bias = read_bias(fields, Some("gralora_only"))?;
        let hybrid = fields.read("hybrid_r", "a whole number", Value::as_u64)?;
        Ok(Self {
            rank: fields.count_or("r", 32)?,
            alpha: fields.number_or_default("alpha", 64.0)?,
            blocks: fields.count_or("gralora_k", 2)?,
            hybrid_rank: hybrid.map_or(0, |rank| usize::try_from(rank).unwrap_or(usize::MAX)),
            dropout: fields.number_or_default("gralora_dropout", 0.0)?,
            placement,
        })
    }

    fn write(&self, fields: &mut Map<String, Value>, _: &[LayerAdapter<'_, Gralora>]) {
        let own = json!({
            "alpha": number(self.alpha),
            "bias": bias_value(self.placement.train_bias, "gralora_only"),
            "gralora_dropout": self.dropout,
            "gralora_k": self.blocks,
            "hybrid_r": self.hybrid_rank,
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
            let ([d_in, d_out], k, rank) = (layer.shape, self.blocks, self.rank);
            let a = file.take(Some(layer), "gralora_A", [k, d_in / k, rank]);
            let b = file.take(Some(layer), "gralora_B", [k, rank, d_out / k]);
            let blocks = a.zip(b);
            let beside = match self.hybrid_rank {
                0 => None,
                rank => {
                    let a = file.matrix(Some(layer), "gralora_A_general.weight", [rank, d_in]);
                    let b = file.matrix(Some(layer), "gralora_B_general.weight", [d_out, rank]);
                    let (a, b) = built(a.zip(b))?;
                    Some([a, b])
                }
            };
            let (a, b) = built(blocks)?;
            Ok(([a, b], beside))
        })
    }

    fn tensors(of: &Gralora, _on: &LayerForm) -> Vec<(&'static str, TensorData)> {
        let mut tensors = vec![
            ("gralora_A", of.a.val().into_data()),
            ("gralora_B", of.b.val().into_data()),
        ];
        if let (Some(a), Some(b)) = (&of.general_a, &of.general_b) {
            let out_in = [a, b].map(|factor| factor.val().transpose().into_data());
            let names = ["gralora_A_general.weight", "gralora_B_general.weight"];
            tensors.extend(names.into_iter().zip(out_in));
        }
        tensors
    }
}
