//! [`Adapted`]: a model that takes an adapter of any kind, and [`Saved`]: an adapter in a directory.

use std::path::Path;

use peft_core::{AttachReport, ForwardPath, PeftError, Transformer};
use peft_models::LanguageModel;
use peft_prefix::Prefixed;
use peft_ptuning::Prompted;
use peft_store::{
    About, AdapterConfig, AdapterDir, AdapterFileError, Checkpoint, CheckpointConfig, TrainedDir,
    TrainedFormat, save_adapter, save_prefix, save_prompt,
};
use serde_json::Value;

use crate::error::CliError;
use crate::say::say;

/// The name under which the command attaches an adapter.
pub(super) const ADAPTER: &str = "default";
/// What PEFT puts before the keys of a model's own tensors.
const WRAPPED: &str = "base_model.model.";

/// A model with room for a soft prompt and for a prefix; without them it is the model.
pub(super) type Adapted<M> = Prompted<Prefixed<M>>;

/// A model that has nothing attached.
pub(super) fn bare<M>(model: M) -> Adapted<M> {
    Prompted::new(Prefixed::new(model))
}

/// What was attached in the place of the base's parameters, by their paths.
pub(super) struct Attached {
    /// Copies that train beside an adapter.
    pub(super) whole: Vec<String>,
    /// What the base has in place of its own values.
    pub(super) replaced: Vec<String>,
}

/// What a run has left in a directory.
pub(super) enum Saved {
    /// An adapter of weights, a soft prompt or a prefix.
    Adapter(AdapterDir),
    /// Parameters of the model itself.
    Trained(TrainedDir),
}

impl Saved {
    /// What is there; layers that it does not name are those of the base's family, if that is
    /// known.
    pub(super) fn open(dir: &Path, base: Option<&Checkpoint>) -> Result<Self, AdapterFileError> {
        if let Some(trained) = TrainedDir::open(dir)? {
            return Ok(Self::Trained(trained));
        }
        let family = base.and_then(|base| base.fields().get("model_type")?.as_str());
        Ok(Self::Adapter(match family {
            Some(family) => AdapterDir::open_for(dir, family)?,
            None => AdapterDir::open(dir)?,
        }))
    }

    /// What is there for a model of this kind.
    pub(super) fn of(dir: &Path, checkpoint: &Checkpoint) -> Result<Self, CliError> {
        let saved = Self::open(dir, Some(checkpoint))?;
        saved.check_task(dir, checkpoint)?;
        Ok(saved)
    }

    /// Attach it.
    pub(super) fn attach<M: Transformer>(
        &self,
        model: &mut Adapted<M>,
    ) -> Result<Attached, AdapterFileError> {
        let dir = match self {
            Self::Adapter(dir) => dir,
            Self::Trained(dir) => {
                return Ok(Attached {
                    whole: Vec::new(),
                    replaced: dir.attach(model)?.paths.into_iter().collect(),
                });
            }
        };
        let report = match dir.config() {
            AdapterConfig::PromptTuning(_) | AdapterConfig::PTuning(_) => {
                dir.attach_prompt(model, ADAPTER)?
            }
            AdapterConfig::Prefix(_) => dir.attach_prefix(&mut model.model, ADAPTER)?,
            _ => dir.attach(model, ADAPTER, ForwardPath::Factored)?,
        };
        for warning in report.warnings {
            say!("warning: {warning}");
        }
        Ok(Attached {
            whole: report.trained_whole,
            replaced: report.replaced,
        })
    }

    /// What trained it.
    pub(super) fn method(&self) -> Value {
        match self {
            Self::Adapter(dir) => dir.config().method().into(),
            Self::Trained(dir) => match &dir.config().format {
                TrainedFormat::Own { method, .. } => method.clone(),
                TrainedFormat::LnTuning { .. } => "norms".into(),
            },
        }
    }

    /// What it is for, in PEFT's words.
    pub(super) fn task_type(&self) -> Option<&str> {
        match self {
            Self::Adapter(dir) => dir.fields().get("task_type")?.as_str(),
            Self::Trained(dir) => dir.config().task_type.as_deref(),
        }
    }

    /// An error where it was trained for labels or embeddings, and the model is a decoder, which
    /// gives neither here.
    pub(super) fn check_task(&self, dir: &Path, checkpoint: &Checkpoint) -> Result<(), CliError> {
        let of = match (self.task_type(), checkpoint.config()) {
            (Some("SEQ_CLS" | "TOKEN_CLS"), CheckpointConfig::LanguageModel(_)) => "labels",
            (Some("QUESTION_ANS"), _) => "the places of answers",
            (Some("SEQ_2_SEQ_LM"), _) => "models of an encoder and a decoder",
            (Some("FEATURE_EXTRACTION"), CheckpointConfig::LanguageModel(_)) => "embeddings",
            _ => return Ok(()),
        };
        Err(CliError::Usage(format!(
            "{} was trained for {of} (`task_type` in its adapter_config.json), which {} is not run for: decoders write text, and labels and embeddings are what encoders give, such as bert",
            dir.display(),
            checkpoint.dir().display()
        )))
    }

    /// Whether it was attached to the encoder with a head, or to the bare one; none where its
    /// tensors do not tell, as those of a soft prompt.
    pub(super) fn is_of_headed(&self, checkpoint: &Checkpoint) -> Result<Option<bool>, CliError> {
        let mut found = None;
        for (key, _) in self.shapes()? {
            if key.contains(".lora_") || key.contains(".ia3_l") {
                let path = key.strip_prefix(WRAPPED).unwrap_or(&key);
                found = Some(found == Some(true) || checkpoint.is_of_headed(path)?);
            }
        }
        Ok(found)
    }

    /// The shapes of its tensors, by key.
    fn shapes(&self) -> Result<Vec<(String, Vec<usize>)>, AdapterFileError> {
        Ok(match self {
            Self::Adapter(dir) => dir.tensor_shapes()?,
            Self::Trained(dir) => dir.shapes()?.into_iter().collect(),
        })
    }

    /// As many labels as a head tells apart that is in the directory whole, if there is one.
    pub(super) fn outputs(&self) -> Result<Option<usize>, AdapterFileError> {
        let shapes = self.shapes()?;
        let weight = shapes.iter().find(|(key, _)| is_output_layer(key));
        Ok(weight.and_then(|(_, shape)| shape.first().copied()))
    }

    /// The model with an output layer of its own, where this changes one and the model's is tied to
    /// its embedding.
    pub(super) fn untied(&self, model: LanguageModel) -> Result<LanguageModel, AdapterFileError> {
        let changes = match self {
            Self::Adapter(dir) => dir.changes_output_layer()?,
            Self::Trained(_) => false,
        };
        Ok(match changes {
            true => model.untie(),
            false => model,
        })
    }

    /// How many positions it takes from a text.
    pub(super) fn virtual_tokens(&self) -> usize {
        match self {
            Self::Trained(_) => 0,
            Self::Adapter(dir) => match dir.config() {
                AdapterConfig::PromptTuning(config) => config.n_virtual_tokens,
                AdapterConfig::PTuning(config) => config.n_virtual_tokens,
                AdapterConfig::Prefix(config) => config.n_virtual_tokens,
                _ => 0,
            },
        }
    }
}

/// Whether a key is that of the weight of a layer that tells labels, trained whole.
fn is_output_layer(key: &str) -> bool {
    let mut segments: Vec<&str> = key.split('.').collect();
    // A whole model's state has the adapter's name in it.
    if let Some(at) = segments.iter().position(|name| *name == "modules_to_save") {
        segments.drain(at..segments.len().min(at + 2));
    }
    matches!(
        segments.as_slice(),
        [.., "classifier", "weight"] | [.., "classifier", "out_proj", "weight"]
    )
}

/// Attach a fresh adapter.
pub(super) fn attach_fresh<M: Transformer>(
    config: &AdapterConfig,
    model: &mut Adapted<M>,
) -> Result<AttachReport, PeftError> {
    match config {
        AdapterConfig::PromptTuning(_) | AdapterConfig::PTuning(_) => {
            config.attach_prompt(model, ADAPTER)
        }
        AdapterConfig::Prefix(_) => config.attach_prefix(&mut model.model, ADAPTER),
        _ => config.attach(model, ADAPTER),
    }
}

/// Write the adapter of a model.
pub(super) fn save<M: Transformer>(
    model: &Adapted<M>,
    config: &AdapterConfig,
    about: &About,
    dir: &Path,
) -> Result<(), AdapterFileError> {
    match config {
        AdapterConfig::PromptTuning(_) | AdapterConfig::PTuning(_) => {
            save_prompt(model, ADAPTER, config, about, dir)
        }
        AdapterConfig::Prefix(_) => save_prefix(&model.model, ADAPTER, config, about, dir),
        _ => save_adapter(model, ADAPTER, config, about, dir),
    }
}
