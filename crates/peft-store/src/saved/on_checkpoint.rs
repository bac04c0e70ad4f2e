//! What a saved adapter asks of a checkpoint.

use std::path::Path;

use burn::module::Module;
use peft_model::Transformer;
use peft_models::LanguageModel;

use super::{HeadError, SavedAdapter};
use crate::adapter::WRAPPED_MODEL;
use crate::{
    Adaptable, AdapterFileError, Checkpoint, CheckpointConfig, CheckpointError, HeadedModel,
    adaptable,
};

impl SavedAdapter {
    /// Read the config of a directory, for an adapter of this checkpoint's model: layers that it
    /// does not name are those of the model's family.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_on(
        dir: impl AsRef<Path>,
        checkpoint: &Checkpoint,
    ) -> Result<Self, AdapterFileError> {
        match checkpoint
            .fields()
            .get("model_type")
            .and_then(|of| of.as_str())
        {
            Some(family) => Self::open_for(dir, family),
            None => Self::open(dir),
        }
    }

    /// That the model is run for what this was trained for: a decoder gives neither labels nor
    /// embeddings here.
    ///
    /// # Errors
    ///
    /// [`AdapterFileError::OtherTask`].
    pub fn check_task(&self, checkpoint: &Checkpoint) -> Result<(), AdapterFileError> {
        let decoder = matches!(checkpoint.config(), CheckpointConfig::LanguageModel(_));
        let task = match (self.task_type(), decoder) {
            (Some("SEQ_CLS" | "TOKEN_CLS"), true) => "labels",
            (Some("QUESTION_ANS"), _) => "the places of answers",
            (Some("SEQ_2_SEQ_LM"), _) => "models of an encoder and a decoder",
            (Some("FEATURE_EXTRACTION"), true) => "embeddings",
            _ => return Ok(()),
        };
        Err(AdapterFileError::OtherTask {
            dir: self.dir().into(),
            task,
            model: checkpoint.dir().into(),
        })
    }

    /// Whether it was attached to the encoder with a head, or to the bare one; none where its
    /// tensors do not tell, as those of a soft prompt.
    pub(super) fn is_of_headed(&self, checkpoint: &Checkpoint) -> Result<Option<bool>, HeadError> {
        let Self::Peft(of) = self else {
            return Ok(None);
        };
        let names = of.config().tensor_names();
        let mut found = None;
        for (key, _) in self.tensor_shapes()? {
            if key.split('.').any(|name| names.contains(&name)) {
                let path = key.strip_prefix(WRAPPED_MODEL).unwrap_or(&key);
                found = Some(found == Some(true) || checkpoint.is_of_headed(path)?);
            }
        }
        Ok(found)
    }

    /// The model with an output layer of its own, where this changes one and the model's is tied to
    /// its embedding.
    ///
    /// # Errors
    ///
    /// Where the file of tensors cannot be read.
    pub fn untied(&self, model: LanguageModel) -> Result<LanguageModel, AdapterFileError> {
        let changes = match self {
            Self::Peft(of) => of.changes_output_layer()?,
            Self::Trained(_) | Self::Own(_) => false,
        };
        Ok(match changes {
            true => model.untie(),
            false => model,
        })
    }

    /// Attach it under `name` to a model of `checkpoint` with a head, which the checkpoint or the
    /// directory must have; the model, ready to be evaluated.
    ///
    /// # Errors
    ///
    /// A [`HeadError`]; warnings are given to `warn`.
    pub fn attach_headed<M: Transformer>(
        &self,
        headed: HeadedModel<M>,
        name: &str,
        checkpoint: &Checkpoint,
        mut warn: impl FnMut(&str),
    ) -> Result<Adaptable<M>, HeadError> {
        let mut model = adaptable(headed.model);
        let attached = self.attach(&mut model, name)?;
        attached.warnings.iter().for_each(|text| warn(text));
        let held = || attached.trained_whole.iter().chain(&attached.replaced);
        let missing = headed.fresh.into_iter().find(|module| {
            let within = format!("{module}.");
            let is_within =
                |path: &String| path.starts_with(&within) || path.contains(&format!(".{within}"));
            !held().any(is_within)
        });
        match missing {
            None => Ok(model.valid()),
            Some(module) => Err(HeadError::NoWeights {
                module,
                model: checkpoint.dir().into(),
                adapter: Some(self.dir().into()),
            }),
        }
    }
}

impl<M: Transformer> HeadedModel<M> {
    /// The model as it is, which must have all its weights, ready to be evaluated.
    ///
    /// # Errors
    ///
    /// [`HeadError::NoWeights`].
    pub fn complete(self, checkpoint: &Checkpoint) -> Result<Adaptable<M>, HeadError> {
        match self.fresh.into_iter().next() {
            None => Ok(adaptable(self.model).valid()),
            Some(module) => Err(HeadError::NoWeights {
                module,
                model: checkpoint.dir().into(),
                adapter: None,
            }),
        }
    }
}

impl Checkpoint {
    /// The checkpoint without its head, where `saved` has one of its own.
    ///
    /// # Errors
    ///
    /// Where the file of tensors cannot be read.
    pub fn without_head_of(self, saved: &SavedAdapter) -> Result<Self, AdapterFileError> {
        Ok(match saved.n_labels()? {
            Some(_) => self.with_new_head(),
            None => self,
        })
    }
}

impl From<CheckpointError> for HeadError {
    fn from(error: CheckpointError) -> Self {
        Self::Checkpoint(error)
    }
}
