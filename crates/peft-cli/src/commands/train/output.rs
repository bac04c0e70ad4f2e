//! [`RunOutput`]: what a run saves of its model.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use burn::tensor::DType;
use peft_model::Transformer;
use peft_store::{
    Adaptable, AdapterConfig, AdapterInfo, Companions, Labels, TaskType, TrainedConfig,
    TrainedFormat, base_digest, save_trained, write_checkpoint,
};
use serde_json::{Map, Value};

use crate::commands::adapted::ADAPTER;
use crate::error::CliError;

/// What of a model a run saves.
pub(super) enum OutputKind {
    /// An adapter.
    Adapter(Box<AdapterConfig>),
    /// All of it, as a checkpoint.
    Whole,
    /// Normalisation layers and modules of these paths, as PEFT's LN tuning.
    Norms(Vec<String>),
    /// The parameters that have trained; what trained them.
    Own(Value),
}

/// What the run saves.
pub(super) struct RunOutput {
    pub(super) kind: OutputKind,
    pub(super) base: String,
    /// What readers of an adapter are told.
    pub(super) about: AdapterInfo,
    /// The `config.json` of a whole model.
    pub(super) fields: Map<String, Value>,
    /// The files that go with a whole model, and the tokenizer that goes with an adapter.
    pub(super) companions: Companions,
    pub(super) dtype: DType,
    /// What a classifier's outputs are called.
    pub(super) labels: Option<Labels>,
    /// What it is for.
    pub(super) task: TaskType,
    /// The loss of a guess that takes everything for equally likely.
    pub(super) uniform: Option<f64>,
    /// Paths of the model's own parameters that differed from the base's before the run, and are
    /// saved with what it trains.
    pub(super) begun_with: Vec<String>,
}

impl RunOutput {
    /// Write what has trained of a model; `touched` are the paths of its own parameters that differ
    /// from the base's.
    pub(super) fn save<M: Transformer>(
        &self,
        model: &Adaptable<M>,
        touched: &BTreeSet<String>,
        dir: &Path,
    ) -> Result<(), CliError> {
        let format = match &self.kind {
            OutputKind::Whole => {
                let companions = Some(&self.companions);
                write_checkpoint(model, &self.fields, companions, self.dtype, dir)?;
                return Ok(());
            }
            OutputKind::Adapter(config) => {
                self.save_tokenizer(dir)?;
                config.save_any(model, ADAPTER, &self.about, dir)?;
                None
            }
            OutputKind::Norms(modules) => Some(TrainedFormat::LnTuning {
                modules_to_save: modules.clone(),
            }),
            OutputKind::Own(method) => Some(TrainedFormat::Own {
                method: method.clone(),
                base_digest: base_digest(model, touched),
            }),
        };
        if let Some(format) = format {
            self.save_tokenizer(dir)?;
            let config = TrainedConfig {
                format,
                base: Some(self.base.clone()),
                task_type: Some(self.task.to_string()),
            };
            save_trained(model, touched, &config, dir)?;
        }
        if let Some(labels) = &self.labels {
            labels.write(dir)?;
        }
        Ok(())
    }

    /// As other trainers do, so that the directory is used with what it was trained with.
    fn save_tokenizer(&self, dir: &Path) -> Result<(), CliError> {
        fs::create_dir_all(dir).map_err(|source| CliError::Io {
            action: "create",
            path: dir.into(),
            source,
        })?;
        Ok(self.companions.copy_tokenizer(dir)?)
    }
}
