//! [`AdapterDir`]: an adapter directory, read.

use std::path::Path;

use burn::module::Module;
use peft_core::{AttachReport, ForwardPath};
use peft_model::Transformer;
use peft_prefix::Prefixed;
use peft_ptuning::Prompted;
use serde_json::{Map, Value};

use super::config::complete;
use super::default_layers::complete_by_keys;
use super::files::{AdapterFiles, read_fields};
use super::fitted::{OUTPUT_LAYER, fitted_modules};
use super::tensors::TensorsFile;
use super::token_rows::ROWS;
use super::{Adaptable, AdapterConfig, AdapterFileError, AdapterInfo};

/// What layers are adapted where a config names none.
#[derive(Debug, Clone, Copy)]
pub(crate) enum DefaultLayers<'a> {
    /// It must name some.
    Refused,
    /// Those that PEFT adapts on a base of this family.
    OfFamily(&'a str),
    /// Those that the file has tensors of.
    OfTensors,
}

/// An adapter directory whose config has been read and understood.
#[derive(Debug, Clone)]
pub struct AdapterDir {
    files: AdapterFiles,
    config: AdapterConfig,
}

impl AdapterDir {
    /// Read the config of an adapter directory.
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

    fn read(dir: &Path, layers: DefaultLayers<'_>) -> Result<Self, AdapterFileError> {
        let (path, fields) = read_fields(dir)?;
        Self::of_fields(&path, fields, layers)
    }

    /// Of the fields of a config file.
    pub(crate) fn of_fields(
        path: &Path,
        fields: Map<String, Value>,
        layers: DefaultLayers<'_>,
    ) -> Result<Self, AdapterFileError> {
        let dir = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let mut files = AdapterFiles { dir, fields };
        match layers {
            DefaultLayers::Refused => {}
            DefaultLayers::OfFamily(family) => complete(&mut files.fields, family),
            DefaultLayers::OfTensors => {
                let tensors = files.tensors()?;
                complete_by_keys(&mut files.fields, tensors.places().keys());
            }
        }
        let config = AdapterConfig::from_fields(path, &files.fields)?;
        Ok(Self { files, config })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.files.dir
    }

    /// The method and its config.
    pub fn config(&self) -> &AdapterConfig {
        &self.config
    }

    /// All fields of the file, those that nothing here reads included.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.files.fields
    }

    /// The file of tensors.
    pub(super) fn tensors(&self) -> Result<TensorsFile, AdapterFileError> {
        self.files.tensors()
    }

    /// The shapes of the tensors in the file, by key.
    ///
    /// # Errors
    ///
    /// Where the tensors' file cannot be read.
    pub fn tensor_shapes(&self) -> Result<Vec<(String, Vec<usize>)>, AdapterFileError> {
        let file = self.files.tensors()?;
        let shapes = file.places().iter();
        let shapes = shapes.map(|(key, place)| (key.clone(), place.shape().to_vec()));
        Ok(shapes.collect())
    }

    /// Whether it changes the output layer: by an adapter on it, or as a module that trains whole.
    ///
    /// A model whose output layer is tied to its embedding has none of its own to change;
    /// [`LanguageModel::untie`](peft_models::LanguageModel::untie) gives it one before the adapter
    /// is attached, as PEFT's wrapper of the layer does.
    ///
    /// # Errors
    ///
    /// Where the tensors' file cannot be read.
    pub fn changes_output_layer(&self) -> Result<bool, AdapterFileError> {
        let output_layer = [OUTPUT_LAYER.to_owned()];
        let whole = !fitted_modules(self.config.modules_to_save(), &output_layer).is_empty();
        let tensors = self.config.tensor_names();
        Ok(self.files.tensors()?.places().keys().any(|key| {
            let mut names = key.split('.').skip_while(|name| *name != OUTPUT_LAYER);
            match names.nth(1) {
                Some("weight") => whole,
                // Of a tied output layer PEFT saves the embedding's rows once more.
                Some(ROWS) => false,
                Some(name) => name == "modules_to_save" || tensors.contains(&name),
                None => false,
            }
        }))
    }

    /// Attach the adapter to `model` under `name`, with the file's weights.
    ///
    /// `path` says how the model reads its adapted layers. As in PEFT, entries of the config's
    /// lists that match nothing are passed over; but every tensor of the file must have its place
    /// and every place its tensor. A weight of the base that the file holds, as PEFT's
    /// `save_embedding_layers` saves them, takes the place of the base's; the report names it.
    ///
    /// # Errors
    ///
    /// An [`AdapterFileError`], with the model untouched;
    /// [`PeftError::AttachesElsewhere`](peft_core::PeftError::AttachesElsewhere) for a soft prompt.
    pub fn attach<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        path: ForwardPath,
    ) -> Result<AttachReport, AdapterFileError> {
        self.config.attach_of(&self.files, model, name, path)
    }

    /// Attach what the directory holds, of whatever kind, with the file's weights.
    ///
    /// # Errors
    ///
    /// An [`AdapterFileError`], with the model untouched.
    pub fn attach_any<M: Transformer>(
        &self,
        model: &mut Adaptable<M>,
        name: &str,
    ) -> Result<AttachReport, AdapterFileError> {
        self.config.attach_any_of(&self.files, model, name)
    }

    /// Put the soft prompt of the directory before `model`, with the file's weights; `name` is that
    /// of the modules that train whole.
    ///
    /// A prompt of P-Tuning comes with its encoder where this directory has it, and trains on as it
    /// did; from a directory that PEFT wrote it is the vectors alone.
    ///
    /// # Errors
    ///
    /// An [`AdapterFileError`], with the model untouched;
    /// [`PeftError::AttachesElsewhere`](peft_core::PeftError::AttachesElsewhere) for another
    /// method.
    pub fn attach_prompt<M: Transformer>(
        &self,
        model: &mut Prompted<M>,
        name: &str,
    ) -> Result<AttachReport, AdapterFileError> {
        self.config.attach_prompt_of(&self.files, model, name)
    }

    /// Put the prefix of the directory before `model`, with the file's weights; `name` is that of
    /// the modules that train whole.
    ///
    /// A prefix that was trained through a projection comes with it where this directory has it,
    /// and trains on as it did; from a directory that PEFT wrote it is the keys and values alone.
    ///
    /// # Errors
    ///
    /// An [`AdapterFileError`], with the model untouched;
    /// [`PeftError::AttachesElsewhere`](peft_core::PeftError::AttachesElsewhere) for another
    /// method.
    pub fn attach_prefix<M: Transformer>(
        &self,
        model: &mut Prefixed<M>,
        name: &str,
    ) -> Result<AttachReport, AdapterFileError> {
        self.config.attach_prefix_of(&self.files, model, name)
    }
}

impl AdapterInfo {
    /// All that the directory says which an adapter was read from, fields that nothing here reads
    /// included. What is set beside it goes before it.
    pub fn of(dir: &AdapterDir) -> Self {
        Self::of_fields(dir.fields().clone())
    }
}
