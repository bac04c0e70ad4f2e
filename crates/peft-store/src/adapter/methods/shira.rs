//! SHiRA in PEFT's files.

use burn::module::Module;
use burn::tensor::TensorData;
use peft_core::{AttachReport, PeftError};
use peft_lora::{Shira, ShiraConfig};
use serde_json::{Map, Value, json};

use super::super::placement::{LayerFields, read_placement};
use super::super::tensors::{LayerTensors, built};
use super::{LayerAdapter, LayerForm, WeightMethod, insert};
use crate::fields::{FieldError, Fields};

impl WeightMethod for ShiraConfig {
    type Adapter = Shira;
    const PEFT_TYPE: &'static str = "SHIRA";
    const TENSORS: &'static [&'static str] = &["shira_weight", "shira_indices"];
    const LAYER_FIELDS: LayerFields = LayerFields {
        exclude: false,
        layers: false,
        fan_in_fan_out: true,
    };

    fn read(fields: &Fields<'_>) -> Result<Self, FieldError> {
        Ok(Self {
            rank: fields.count_or("r", 32)?,
            seed: fields.read("random_seed", "a whole number", Value::as_u64)?,
            placement: read_placement(fields)?,
        })
    }

    fn write(&self, fields: &mut Map<String, Value>, _: &[LayerAdapter<'_, Shira>]) {
        let own = json!({
            "init_weights": true,
            // Whatever chose the places, the file has them.
            "mask_type": "random",
            "r": self.rank,
            "random_seed": self.seed,
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
            let values = file.take(Some(layer), "shira_weight", [n]);
            let places = file.indices(Some(layer), "shira_indices", [2, n]);
            let (values, places) = built(values.zip(places))?;
            let (outputs, inputs) = places.split_at(n);
            let places = outputs.iter().zip(inputs);
            Ok((
                values,
                places.map(|(output, input)| [*output, *input]).collect(),
            ))
        })
    }

    fn tensors(of: &Shira, _on: &LayerForm) -> Vec<(&'static str, TensorData)> {
        let places = of.places();
        // The weight is [in, out] here, and its places are an output and an input in the file.
        let side = |side: usize| places.iter().map(move |place| place[side] as i32);
        let indices: Vec<i32> = side(0).chain(side(1)).collect();
        vec![
            ("shira_weight", of.values.val().into_data()),
            ("shira_indices", TensorData::new(indices, [2, places.len()])),
        ]
    }
}
