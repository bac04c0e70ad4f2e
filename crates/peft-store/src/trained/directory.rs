//! [`TrainedDir`]: a directory of trained parameters, read and put into a model.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use burn::module::Module;
use peft_safetensors::{TensorPlace, open};
use serde_json::{Map, Value};

use super::{TrainedConfig, TrainedFormat};
use crate::adapter::{TENSORS, read_fields};
use crate::base_digest::other_base;
use crate::fields::Fields;
use crate::params::stored_params;
use crate::quantise::Quantise;
use crate::tensor_file::{load_tensors, problems as unfit};
use crate::{AdapterFileError, TensorProblem};

/// A directory of trained parameters whose config has been read and understood.
#[derive(Debug, Clone)]
pub struct TrainedDir {
    dir: PathBuf,
    config: TrainedConfig,
    fields: Map<String, Value>,
    /// The keys that the file must have; those of PEFT's format are not listed.
    keys: Vec<String>,
}

/// What was put into a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainedReport {
    /// The parameters, by path.
    pub paths: BTreeSet<String>,
    /// Their elements.
    pub elements: usize,
}

impl TrainedDir {
    /// Read the config of a directory; none where it is one of an adapter.
    ///
    /// # Errors
    ///
    /// An [`AdapterFileError`] that names the file, and the field where there is one.
    pub fn open(dir: impl AsRef<Path>) -> Result<Option<Self>, AdapterFileError> {
        let (path, fields) = read_fields(dir.as_ref())?;
        match TrainedConfig::is_meant_by(&fields) {
            true => Self::of_fields(&path, &fields).map(Some),
            false => Ok(None),
        }
    }

    /// Of the fields of a config file of trained parameters.
    pub(crate) fn of_fields(
        path: &Path,
        fields: &Map<String, Value>,
    ) -> Result<Self, AdapterFileError> {
        let of = Fields::new(path, fields);
        let config = TrainedConfig::from_fields(&of)?;
        let keys = match &config.format {
            TrainedFormat::Own { .. } => of.list("parameters")?,
            TrainedFormat::LnTuning { .. } => Vec::new(),
        };
        let dir = path.parent().unwrap_or(Path::new("")).to_path_buf();
        Ok(Self {
            dir,
            config,
            fields: fields.clone(),
            keys,
        })
    }

    /// All fields of the config.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the directory says of itself.
    pub fn config(&self) -> &TrainedConfig {
        &self.config
    }

    /// The shapes of the tensors in the file, by the paths of the parameters.
    ///
    /// # Errors
    ///
    /// Where the tensors' file cannot be read.
    pub fn shapes(&self) -> Result<BTreeMap<String, Vec<usize>>, AdapterFileError> {
        let places = self.places()?.into_iter();
        Ok(places
            .map(|(path, place)| (path, place.shape().to_vec()))
            .collect())
    }

    /// Put the file's values in the place of the model's.
    ///
    /// # Errors
    ///
    /// An [`AdapterFileError`], with the model untouched: a tensor that has no place, of another
    /// shape, or not finite, all of them named; [`AdapterFileError::OtherBase`] where the rest of
    /// the model is not what the parameters were trained with.
    pub fn attach<M: Module>(&self, model: &mut M) -> Result<TrainedReport, AdapterFileError> {
        let places = self.places()?;
        let expected: BTreeMap<String, Vec<usize>> = stored_params(model)
            .into_iter()
            .map(|param| (param.path, param.shape))
            .collect();
        let held: BTreeSet<&str> = places.values().map(TensorPlace::key).collect();
        let missing = self.keys.iter().filter(|key| !held.contains(key.as_str()));
        let missing = missing.map(TensorProblem::missing);
        let mut problems: Vec<TensorProblem> = missing.collect();
        problems.extend(unfit(&places, &expected)?);
        if !problems.is_empty() {
            return Err(AdapterFileError::Tensors {
                path: self.dir.join(TENSORS),
                problems,
            });
        }
        let paths: BTreeSet<String> = places.keys().cloned().collect();
        if let TrainedFormat::Own {
            base_digest: of, ..
        } = &self.config.format
            && let Some(found) = other_base(model, &paths, of)
        {
            return Err(AdapterFileError::OtherBase {
                dir: self.dir.clone(),
                name: self.config.base.clone().unwrap_or_else(|| "unnamed".into()),
                expected: of.clone(),
                found,
            });
        }
        let elements = paths
            .iter()
            .map(|path| expected[path].iter().product::<usize>());
        let elements = elements.sum();
        *model = load_tensors(model.clone(), places, None, Quantise::Dense, None)?;
        Ok(TrainedReport { paths, elements })
    }

    /// The file's tensors by the paths of the parameters.
    fn places(&self) -> Result<BTreeMap<String, TensorPlace>, AdapterFileError> {
        let places = open(&self.dir.join(TENSORS))?.tensors.into_iter();
        let places = places.map(|(key, place)| (self.config.path(&key), place));
        Ok(places.collect())
    }
}
