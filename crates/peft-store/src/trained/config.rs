//! [`TrainedConfig`]: what `adapter_config.json` says of trained parameters.

use serde_json::{Map, Value, json};

use crate::fields::{FieldError, Fields};

/// The `peft_type` of our own format.
const OWN: &str = "TRAINED_PARAMETERS";
/// That of PEFT's LN tuning.
const LN_TUNING: &str = "LN_TUNING";

/// How a directory holds trained parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrainedFormat {
    /// Under the keys of the checkpoint.
    Own {
        /// What trained them: a strategy's settings, for instance.
        method: Value,
        /// The [`base_digest`](crate::base_digest()) of the rest of the model.
        base_digest: String,
    },
    /// As PEFT's LN tuning: normalisation layers as a whole, and the modules that are saved beside
    /// them.
    LnTuning {
        /// Paths of modules that are no normalisation layers, a head for instance.
        modules_to_save: Vec<String>,
    },
}

/// The config of a directory of trained parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainedConfig {
    /// How they are held.
    pub format: TrainedFormat,
    /// The base model's name or path.
    pub base: Option<String>,
    /// `SEQ_CLS`, `CAUSAL_LM` ..., which PEFT wants to know.
    pub task_type: Option<String>,
}

impl TrainedConfig {
    /// Whether a config file's fields are those of trained parameters.
    pub fn is_meant_by(fields: &Map<String, Value>) -> bool {
        matches!(
            fields.get("peft_type").and_then(Value::as_str),
            Some(OWN | LN_TUNING)
        )
    }

    pub(super) fn from_fields(fields: &Fields<'_>) -> Result<Self, FieldError> {
        let text = |field: &str| fields.text(field).map(str::to_owned);
        let format = match fields.text("peft_type") {
            Some(OWN) => TrainedFormat::Own {
                method: fields.get("method").clone(),
                base_digest: text("base_digest")
                    .ok_or_else(|| fields.wrong("base_digest", "a string"))?,
            },
            Some(LN_TUNING) => TrainedFormat::LnTuning {
                modules_to_save: fields.list("modules_to_save")?,
            },
            _ => return Err(fields.unsupported("peft_type", "TRAINED_PARAMETERS and LN_TUNING")),
        };
        Ok(Self {
            format,
            base: text("base_model_name_or_path"),
            task_type: text("task_type"),
        })
    }

    /// `modules` are the normalisation layers of the file, `parameters` its keys.
    pub(super) fn to_fields(&self, parameters: &[String], modules: &[String]) -> Value {
        let mut fields = match &self.format {
            TrainedFormat::Own {
                method,
                base_digest,
            } => json!({
                "peft_type": OWN,
                "method": method,
                "base_digest": base_digest,
                "parameters": parameters,
            }),
            TrainedFormat::LnTuning { modules_to_save } => json!({
                "peft_type": LN_TUNING,
                "target_modules": modules,
                "exclude_modules": null,
                "modules_to_save": (!modules_to_save.is_empty()).then_some(modules_to_save),
                "auto_mapping": null,
                "revision": null,
            }),
        };
        fields["base_model_name_or_path"] = json!(self.base);
        fields["task_type"] = json!(self.task_type);
        fields["inference_mode"] = json!(true);
        fields
    }

    /// The key of a parameter in the file, and back with [`path`](Self::path).
    pub(super) fn key(&self, path: &str) -> String {
        let TrainedFormat::LnTuning { modules_to_save } = &self.format else {
            return path.into();
        };
        let saved = modules_to_save.iter().any(|module| inside(path, module));
        match path.rsplit_once('.').filter(|_| !saved) {
            Some((module, name)) => format!("{PREFIX}{module}{LAYERS}{name}"),
            None => format!("{PREFIX}{path}"),
        }
    }

    /// The path of the parameter that a key is of.
    pub(super) fn path(&self, key: &str) -> String {
        match &self.format {
            TrainedFormat::Own { .. } => key.into(),
            TrainedFormat::LnTuning { .. } => key
                .strip_prefix(PREFIX)
                .unwrap_or(key)
                .replacen(LAYERS, ".", 1),
        }
    }
}

/// What PEFT puts before a module's path, and between a tuned layer and its parameter.
const PREFIX: &str = "base_model.model.";
const LAYERS: &str = ".ln_tuning_layers.";

/// Whether a parameter lies in a module, or is it.
pub(super) fn inside(path: &str, module: &str) -> bool {
    path.strip_prefix(module)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
