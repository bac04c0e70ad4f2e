//! [`AttachedAdapter`]: what was attached to a model, and how it is saved again.

use std::collections::BTreeSet;
use std::path::Path;

use peft_core::AttachReport;
use peft_model::Transformer;
use serde_json::{Map, Value};

use crate::trained::TrainedFormat;
use crate::{
    Adaptable, AdapterConfig, AdapterFileError, AdapterInfo, TrainedConfig, base_digest, save_own,
    save_trained,
};

/// What was attached to a model out of a directory.
#[derive(Debug, Clone)]
pub struct AttachedAdapter {
    name: String,
    what: AttachedKind,
    about: AdapterInfo,
    /// The paths of the parameters that train whole beside an adapter.
    pub trained_whole: Vec<String>,
    /// The paths of the model's own parameters that have other values now.
    pub replaced: Vec<String>,
    /// What may be amiss though it is attached, a sentence each.
    pub warnings: Vec<String>,
}

/// What it is, as it is written.
#[derive(Debug, Clone)]
pub(super) enum AttachedKind {
    Peft(AdapterConfig),
    Trained(TrainedConfig),
    Own { method: String, settings: Value },
}

impl AttachedAdapter {
    /// An adapter, out of a directory whose config has these fields.
    pub(super) fn new(
        name: &str,
        what: AttachedKind,
        fields: &Map<String, Value>,
        report: AttachReport,
    ) -> Self {
        let about = AdapterInfo::of_fields(fields.clone());
        Self {
            name: name.into(),
            what,
            about: about.with_replaced(report.replaced.clone()),
            trained_whole: report.trained_whole,
            replaced: report.replaced,
            warnings: report.warnings,
        }
    }

    /// Parameters of the model itself.
    pub(super) fn trained(name: &str, config: &TrainedConfig, paths: BTreeSet<String>) -> Self {
        Self {
            name: name.into(),
            what: AttachedKind::Trained(config.clone()),
            about: AdapterInfo::new(),
            trained_whole: Vec::new(),
            replaced: paths.into_iter().collect(),
            warnings: Vec::new(),
        }
    }

    /// Write it as it is in `model` now, in the format that it was read from, with all that its
    /// config said. Each file is written beside its place and renamed.
    ///
    /// # Errors
    ///
    /// An [`AdapterFileError`]; files that were there before are then as they were, or already
    /// replaced as a whole.
    pub fn save<M: Transformer>(
        &self,
        model: &Adaptable<M>,
        dir: impl AsRef<Path>,
    ) -> Result<(), AdapterFileError> {
        match &self.what {
            AttachedKind::Peft(config) => config.save_any(model, &self.name, &self.about, dir),
            AttachedKind::Own { method, settings } => {
                save_own(model, &self.name, method, settings, &self.about, dir)
            }
            AttachedKind::Trained(config) => {
                let paths = self.replaced.iter().cloned().collect();
                let mut config = config.clone();
                if let TrainedFormat::Own {
                    base_digest: of, ..
                } = &mut config.format
                {
                    *of = base_digest(model, &paths);
                }
                save_trained(model, &paths, &config, dir)
            }
        }
    }
}
