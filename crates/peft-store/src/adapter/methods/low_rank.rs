//! MiSS and HiRA in PEFT's files.

use burn::module::Module;
use burn::tensor::TensorData;
use peft_core::{AttachReport, PeftError};
use peft_lora::{Hira, HiraConfig, Miss, MissConfig};
use serde_json::{Map, Value, json};

use super::super::placement::{LayerFields, bias_value, read_bias, read_placement};
use super::super::tensors::{LayerTensors, built};
use super::{LayerAdapter, LayerForm, WeightMethod, insert};
use crate::fields::{FieldError, Fields};

impl WeightMethod for MissConfig {
    type Adapter = Miss;
    const PEFT_TYPE: &'static str = "MISS";
    const TENSORS: &'static [&'static str] = &["miss_block"];
    const LAYER_FIELDS: LayerFields = LayerFields::CHOICE;

    fn read(fields: &Fields<'_>) -> Result<Self, FieldError> {
        let mut placement = read_placement(fields)?;
        placement.train_bias = read_bias(fields, Some("miss_only"))?;
        let columns = match fields.get("init_weights") {
            Value::String(init) if init == "mini" => Some(fields.count_or("mini_r", 1)?),
            Value::Null | Value::Bool(_) => None,
            _ => return Err(fields.unsupported("init_weights", "true, false or mini")),
        };
        Ok(Self {
            rank: fields.count_or("r", 64)?,
            columns,
            dropout: fields.number_or_default("miss_dropout", 0.0)?,
            placement,
        })
    }

    fn write(&self, fields: &mut Map<String, Value>, _: &[LayerAdapter<'_, Miss>]) {
        let own = json!({
            "bias": bias_value(self.placement.train_bias, "miss_only"),
            "init_weights": if self.columns.is_some() { json!("mini") } else { json!(true) },
            "mini_r": self.columns.unwrap_or(1),
            "miss_dropout": self.dropout,
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
        self.attach_with(model, name, |layer, shape| {
            built(file.take(Some(layer), "miss_block", shape))
        })
    }

    fn tensors(miss: &Miss, _on: &LayerForm) -> Vec<(&'static str, TensorData)> {
        vec![("miss_block", miss.block.val().into_data())]
    }
}

impl WeightMethod for HiraConfig {
    type Adapter = Hira;
    const PEFT_TYPE: &'static str = "HIRA";
    const TENSORS: &'static [&'static str] = &["hira_A", "hira_B"];

    fn read(fields: &Fields<'_>) -> Result<Self, FieldError> {
        Ok(Self {
            rank: fields.count_or("r", 32)?,
            dropout: fields.number_or_default("hira_dropout", 0.0)?,
            placement: read_placement(fields)?,
        })
    }

    fn write(&self, fields: &mut Map<String, Value>, _: &[LayerAdapter<'_, Hira>]) {
        let own = json!({
            "hira_dropout": self.dropout,
            "init_weights": true,
            "r": self.rank,
            // PEFT does not look at what is here.
            "rank_pattern": {},
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
            let ([d_in, d_out], rank) = (layer.shape, self.rank);
            let a = file.matrix(Some(layer), "hira_A", [rank, d_in]);
            let b = file.matrix(Some(layer), "hira_B", [d_out, rank]);
            built(a.zip(b)).map(|(a, b)| [a, b])
        })
    }

    fn tensors(hira: &Hira, _on: &LayerForm) -> Vec<(&'static str, TensorData)> {
        vec![
            ("hira_A", hira.a.val().transpose().into_data()),
            ("hira_B", hira.b.val().transpose().into_data()),
        ]
    }
}
