//! Rows of an embedding that train alone, in PEFT's files.

use burn::module::Module;
use burn::tensor::TensorData;
use peft_core::{AttachReport, PeftError, TokenRows, TokenRowsConfig};
use serde_json::{Map, Value, json};

use super::super::fitted::OUTPUT_LAYER;
use super::super::placement::{LayerFields, read_placement};
use super::super::tensors::LayerTensors;
use super::super::token_rows::{ROWS, as_token};
use super::{DefaultTargets, LayerAdapter, LayerForm, WeightMethod, insert};
use crate::fields::{FieldError, Fields};

/// Where PEFT looks, and where this project knows it by another family's name.
const EMBEDDINGS: [(&[&str], &[&str]); 3] = [
    (&["gpt2"], &["wte"]),
    (
        &["bert", "roberta", "xlm-roberta", "distilbert"],
        &["word_embeddings"],
    ),
    (&["modernbert"], &["tok_embeddings"]),
];

impl WeightMethod for TokenRowsConfig {
    type Adapter = TokenRows;
    const PEFT_TYPE: &'static str = "TRAINABLE_TOKENS";
    const TENSORS: &'static [&'static str] = &[ROWS];
    const LAYER_FIELDS: LayerFields = LayerFields {
        exclude: false,
        layers: false,
        fan_in_fan_out: false,
    };

    fn read(fields: &Fields<'_>) -> Result<Self, FieldError> {
        let tokens = fields.read("token_indices", "a list of tokens' numbers", |value| {
            value.as_array()?.iter().map(as_token).collect()
        })?;
        Ok(Self {
            tokens: tokens.unwrap_or_default(),
            placement: read_placement(fields)?,
        })
    }

    fn write(&self, fields: &mut Map<String, Value>, _adapted: &[LayerAdapter<'_, TokenRows>]) {
        insert(
            fields,
            json!({ "init_weights": true, "token_indices": self.tokens }),
        );
    }

    fn default_targets(family: &str) -> DefaultTargets {
        let known = EMBEDDINGS
            .iter()
            .find(|(families, _)| families.contains(&family));
        vec![(
            "target_modules",
            known.map_or(&["embed_tokens"], |(_, names)| *names),
        )]
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
        self.attach_with(model, name, |layer, choice| {
            // Of a tied output layer PEFT saves the same once more.
            file.pass_over(&format!("{OUTPUT_LAYER}.{ROWS}"));
            let shape = [choice.tokens.len(), layer.shape[1]];
            match file.take(Some(layer), ROWS, shape) {
                Some(rows) => TokenRows::from_rows(layer, choice, rows),
                None => Err(PeftError::NoAdapter),
            }
        })
    }

    fn tensors(rows: &TokenRows, _on: &LayerForm) -> Vec<(&'static str, TensorData)> {
        vec![(ROWS, rows.rows.val().into_data())]
    }
}
