//! [`SavedAdapter`]: what was trained, in a directory, of whatever kind.

mod attached;
#[cfg(feature = "models")]
mod head;
#[cfg(feature = "models")]
mod on_checkpoint;

use std::path::Path;

use peft_core::AttachReport;
use peft_model::Transformer;
use serde_json::Value;

pub use attached::AttachedAdapter;
#[cfg(feature = "models")]
pub use head::{HeadError, HeadLabels, LabelSource};

use crate::adapter::{DefaultLayers, OWN, read_fields};
use crate::trained::{TrainedConfig, TrainedFormat};
use crate::{Adaptable, AdapterDir, AdapterFileError, OwnDir, TrainedDir};
use attached::AttachedKind;

/// A directory with what was trained of a model, whose config has been read and understood.
///
/// ```no_run
/// # use peft_model::Transformer;
/// use peft_store::{AdapterFileError, SavedAdapter, adaptable};
///
/// # fn main_of<M: Transformer>(model: M) -> Result<(), AdapterFileError> {
/// let mut model = adaptable(model);
/// let attached = SavedAdapter::open("adapter")?.attach(&mut model, "default")?;
/// attached.save(&model, "a-copy")?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub enum SavedAdapter {
    /// An adapter of weights, a soft prompt or a prefix, in PEFT's format.
    Peft(AdapterDir),
    /// Parameters of the model itself.
    Trained(TrainedDir),
    /// An adapter of a method of one's own.
    Own(OwnDir),
}

impl SavedAdapter {
    /// Read the config of a directory.
    ///
    /// # Errors
    ///
    /// An [`AdapterFileError`] that names the file, and the field where there is one.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, AdapterFileError> {
        Self::read(dir.as_ref(), DefaultLayers::Refused)
    }

    /// The same for a base of this family, its `model_type`: where the config names no layers, they
    /// are those that PEFT adapts on it.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_for(dir: impl AsRef<Path>, family: &str) -> Result<Self, AdapterFileError> {
        Self::read(dir.as_ref(), DefaultLayers::OfFamily(family))
    }

    /// The same without a base, to look at what the directory holds: where the config names no
    /// layers, they are those that its file has tensors of.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and where the tensors' file cannot be read.
    pub fn open_alone(dir: impl AsRef<Path>) -> Result<Self, AdapterFileError> {
        Self::read(dir.as_ref(), DefaultLayers::OfTensors)
    }

    fn read(dir: &Path, layers: DefaultLayers<'_>) -> Result<Self, AdapterFileError> {
        let (path, fields) = read_fields(dir)?;
        if TrainedConfig::is_meant_by(&fields) {
            return TrainedDir::of_fields(&path, &fields).map(Self::Trained);
        }
        match fields.get("peft_type").and_then(Value::as_str) {
            Some(OWN) => OwnDir::of_fields(path, fields).map(Self::Own),
            _ => AdapterDir::of_fields(&path, fields, layers).map(Self::Peft),
        }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        match self {
            Self::Peft(of) => of.dir(),
            Self::Trained(of) => of.dir(),
            Self::Own(of) => of.dir(),
        }
    }

    /// What trained it: the name of a method, or the settings of what trains a model's own
    /// parameters.
    pub fn method(&self) -> Value {
        match self {
            Self::Peft(of) => of.config().method().into(),
            Self::Trained(of) => match &of.config().format {
                TrainedFormat::Own { method, .. } => method.clone(),
                TrainedFormat::LnTuning { .. } => "norms".into(),
            },
            Self::Own(of) => of.method().into(),
        }
    }

    /// The base model's name or path, if it is said.
    pub fn base(&self) -> Option<&str> {
        self.text("base_model_name_or_path")
    }

    /// What it is for, in PEFT's words, if it is said.
    pub fn task_type(&self) -> Option<&str> {
        self.text("task_type")
    }

    fn text(&self, field: &str) -> Option<&str> {
        let fields = match self {
            Self::Peft(of) => of.fields(),
            Self::Own(of) => of.fields(),
            Self::Trained(of) => of.fields(),
        };
        fields.get(field)?.as_str()
    }

    /// The shapes of its tensors: by their keys, or by the paths of a model's own parameters.
    ///
    /// # Errors
    ///
    /// Where the file of tensors cannot be read.
    pub fn tensor_shapes(&self) -> Result<Vec<(String, Vec<usize>)>, AdapterFileError> {
        Ok(match self {
            Self::Peft(of) => of.tensor_shapes()?,
            Self::Trained(of) => of.shapes()?.into_iter().collect(),
            Self::Own(of) => of.tensor_shapes()?,
        })
    }

    /// How many labels the head tells apart that is in the directory whole, if there is one.
    ///
    /// # Errors
    ///
    /// Where the file of tensors cannot be read.
    pub fn n_labels(&self) -> Result<Option<usize>, AdapterFileError> {
        let shapes = self.tensor_shapes()?;
        let weight = shapes.iter().find(|(key, _)| is_output_layer(key));
        Ok(weight.and_then(|(_, shape)| shape.first().copied()))
    }

    /// How many positions it takes from a text.
    pub fn n_virtual_tokens(&self) -> usize {
        match self {
            Self::Peft(of) => of.config().n_virtual_tokens(),
            Self::Trained(_) | Self::Own(_) => 0,
        }
    }

    /// Attach it to `model` under `name`, with the file's weights.
    ///
    /// # Errors
    ///
    /// An [`AdapterFileError`], with the model untouched; [`AdapterFileError::Unsupported`] for a
    /// method of one's own, which [`attach_with`](Self::attach_with) attaches.
    pub fn attach<M: Transformer>(
        &self,
        model: &mut Adaptable<M>,
        name: &str,
    ) -> Result<AttachedAdapter, AdapterFileError> {
        self.attach_with(model, name, |own, _, _| Err(own.unknown_method()))
    }

    /// As [`attach`](Self::attach), where `own` attaches fresh adapters of the methods that are the
    /// program's own, each by its [name](OwnDir::method) and [settings](OwnDir::settings).
    ///
    /// # Errors
    ///
    /// An [`AdapterFileError`], with the model untouched.
    pub fn attach_with<M: Transformer>(
        &self,
        model: &mut Adaptable<M>,
        name: &str,
        own: impl FnOnce(&OwnDir, &mut Adaptable<M>, &str) -> Result<AttachReport, AdapterFileError>,
    ) -> Result<AttachedAdapter, AdapterFileError> {
        match self {
            Self::Peft(of) => {
                let report = of.attach_any(model, name)?;
                let what = AttachedKind::Peft(of.config().clone());
                Ok(AttachedAdapter::new(name, what, of.fields(), report))
            }
            Self::Trained(of) => {
                let paths = of.attach(model)?.paths;
                Ok(AttachedAdapter::trained(name, of.config(), paths))
            }
            Self::Own(of) => {
                let mut changed = model.clone();
                let mut report = own(of, &mut changed, name)?;
                report.warnings.extend(of.load(&mut changed, name)?);
                *model = changed;
                let what = AttachedKind::Own {
                    method: of.method().into(),
                    settings: of.settings()?,
                };
                Ok(AttachedAdapter::new(name, what, of.fields(), report))
            }
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
