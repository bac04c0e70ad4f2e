//! IA3 in PEFT's files.

use burn::module::Module;
use burn::tensor::TensorData;
use peft_core::{AttachReport, Names, PeftError};
use peft_ia3::{Ia3, Ia3Config, Ia3Side};
use serde_json::{Map, Value, json};

use super::super::fitted::{chosen, fit};
use super::super::placement::{LayerFields, names_value, read_placement, sorted};
use super::super::tensors::{LayerTensors, built};
use super::{DefaultTargets, LayerAdapter, LayerForm, WeightMethod, insert};
use crate::fields::{FieldError, Fields};

const VECTOR: &str = "ia3_l";

impl WeightMethod for Ia3Config {
    type Adapter = Ia3;
    const PEFT_TYPE: &'static str = "IA3";
    const TENSORS: &'static [&'static str] = &[VECTOR];
    const LAYER_FIELDS: LayerFields = LayerFields {
        layers: false,
        ..LayerFields::ALL
    };

    fn read(fields: &Fields<'_>) -> Result<Self, FieldError> {
        Ok(Self {
            feedforward: match fields.names("feedforward_modules")? {
                Some(Names::Suffixes(names)) if names.is_empty() => None,
                names => names,
            },
            placement: read_placement(fields)?,
        })
    }

    /// PEFT takes only feed-forward modules that are literally among the targets. Where that does
    /// not say how layers are adapted, their paths do.
    fn write(&self, fields: &mut Map<String, Value>, adapted: &[LayerAdapter<'_, Ia3>]) {
        let own = json!({
            "feedforward_modules": self.feedforward.as_ref().map_or(json!([]), names_value),
            "init_ia3_weights": true,
        });
        insert(fields, own);
        let targets = fields.get("target_modules").and_then(Value::as_array);
        let among_targets = match (&self.feedforward, targets) {
            (Some(Names::Suffixes(entries)), Some(targets)) => {
                entries.iter().all(|entry| targets.contains(&json!(entry)))
            }
            (Some(Names::Regex(_)) | None, _) | (_, None) => true,
        };
        if among_targets {
            return;
        }
        let of_inputs = |on: &&LayerAdapter<'_, Ia3>| on.adapter.side() == Ia3Side::Input;
        let own = json!({
            "target_modules": sorted(adapted.iter().map(|on| on.path)),
            "feedforward_modules": sorted(adapted.iter().filter(of_inputs).map(|on| on.path)),
            "exclude_modules": null,
        });
        insert(fields, own);
    }

    fn default_targets(family: &str) -> DefaultTargets {
        let targets: Option<&'static [&'static str]> = match family {
            "llama" | "mistral" => Some(&["k_proj", "v_proj", "down_proj"]),
            "qwen2" | "qwen3" | "gemma2" | "gemma3_text" => {
                Some(&["q_proj", "v_proj", "down_proj"])
            }
            "gpt2" => Some(&["c_attn", "mlp.c_proj"]),
            "bert" | "roberta" => Some(&["key", "value", "output.dense"]),
            _ => None,
        };
        let feedforward: Option<&'static [&'static str]> = match family {
            "llama" | "mistral" | "qwen2" | "qwen3" | "gemma2" | "gemma3_text" => {
                Some(&["down_proj"])
            }
            "gpt2" => Some(&["mlp.c_proj"]),
            "bert" | "roberta" => Some(&["output.dense"]),
            _ => None,
        };
        let fields = ["target_modules", "feedforward_modules"].into_iter();
        let lists = fields.zip([targets, feedforward]);
        lists
            .filter_map(|(field, names)| Some((field, names?)))
            .collect()
    }

    fn keep_what_matches(&mut self, layers: &[String]) {
        let adapted = chosen(&self.placement.targets, layers);
        self.feedforward = match self.feedforward.take().map(|names| fit(&names, &adapted)) {
            Some(Names::Suffixes(entries)) if entries.is_empty() => None,
            names => names,
        };
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
        self.attach_with(model, name, |layer, side| {
            let width = side.width(layer);
            let vector = file.take(Some(layer), VECTOR, shape(side, width));
            built(vector.map(|vector| Ia3::new(vector.reshape([width]), side)))
        })
    }

    fn tensors(ia3: &Ia3, _on: &LayerForm) -> Vec<(&'static str, TensorData)> {
        let vector = ia3.scaling.val();
        let [width] = vector.dims();
        let vector = vector.reshape(shape(ia3.side(), width));
        vec![(VECTOR, vector.into_data())]
    }
}

/// The shape of the vector in a file: a column for outputs, a row for inputs.
fn shape(side: Ia3Side, width: usize) -> [usize; 2] {
    match side {
        Ia3Side::Output { .. } => [width, 1],
        Ia3Side::Input => [1, width],
    }
}
