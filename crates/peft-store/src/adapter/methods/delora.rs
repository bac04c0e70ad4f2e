//! DeLoRA in PEFT's files.

use burn::module::Module;
use burn::tensor::TensorData;
use peft_core::{AttachReport, Patterns, PeftError};
use peft_lora::{Delora, DeloraConfig};
use serde_json::{Map, Value, json};

use super::super::fields::as_f32_number;
use super::super::placement::{LayerFields, bias_value, read_bias, read_placement};
use super::super::tensors::{LayerTensors, built};
use super::lora::number;
use super::{LayerAdapter, LayerForm, WeightMethod, insert};
use crate::fields::{FieldError, Fields, as_count};

impl WeightMethod for DeloraConfig {
    type Adapter = Delora;
    const PEFT_TYPE: &'static str = "DELORA";
    const TENSORS: &'static [&'static str] =
        &["delora_A", "delora_B", "delora_lambda", "delora_w_norm"];
    const LAYER_FIELDS: LayerFields = LayerFields::CHOICE;

    fn read(fields: &Fields<'_>) -> Result<Self, FieldError> {
        let mut placement = read_placement(fields)?;
        placement.train_bias = read_bias(fields, Some("delora_only"))?;
        Ok(Self {
            rank: fields.count_or("r", 8)?,
            lambda: fields.number_or_default("delora_lambda", 15.0)?,
            rank_pattern: Patterns::new(fields.patterns("rank_pattern", as_count)?),
            lambda_pattern: Patterns::new(fields.patterns("lambda_pattern", as_f32_number)?),
            dropout: fields.number_or_default("module_dropout", 0.0)?,
            placement,
        })
    }

    fn write(&self, fields: &mut Map<String, Value>, _: &[LayerAdapter<'_, Delora>]) {
        let lambdas = self.lambda_pattern.iter();
        let lambdas: Map<String, Value> = lambdas
            .map(|(at, lambda)| (at.to_owned(), number(*lambda)))
            .collect();
        let ranks = self.rank_pattern.iter();
        let ranks: Map<String, Value> = ranks
            .map(|(at, rank)| (at.to_owned(), json!(rank)))
            .collect();
        let own = json!({
            "bias": bias_value(self.placement.train_bias, "delora_only"),
            "delora_lambda": number(self.lambda),
            "init_weights": true,
            "lambda_pattern": lambdas,
            "module_dropout": self.dropout,
            "r": self.rank,
            "rank_pattern": ranks,
        });
        insert(fields, own);
    }

    fn keep_what_matches(&mut self, layers: &[String]) {
        let paths: Vec<&str> = layers.iter().map(String::as_str).collect();
        self.rank_pattern = self.rank_pattern.matching_any(&paths);
        self.lambda_pattern = self.lambda_pattern.matching_any(&paths);
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
        self.attach_with(model, name, |layer, rank, _| {
            let [d_in, d_out] = layer.shape;
            let a = file.matrix(Some(layer), "delora_A", [rank, d_in]);
            let b = file.matrix(Some(layer), "delora_B", [d_out, rank]);
            let lambda = file.take(Some(layer), "delora_lambda", [1]);
            let norms = file.take(Some(layer), "delora_w_norm", [d_in]);
            let ((a, b), (lambda, norms)) = built(a.zip(b).zip(lambda.zip(norms)))?;
            Ok((a, b, lambda, norms))
        })
    }

    fn tensors(of: &Delora, _on: &LayerForm) -> Vec<(&'static str, TensorData)> {
        vec![
            ("delora_A", of.a.val().transpose().into_data()),
            ("delora_B", of.b.val().transpose().into_data()),
            ("delora_lambda", of.lambda.val().into_data()),
            ("delora_w_norm", of.norms.val().into_data()),
        ]
    }
}
