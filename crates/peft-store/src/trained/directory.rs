//! [`TrainedDir`]: a directory of trained parameters, read and put into a model.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use safetensors::SafeTensors;

use super::config::strings;
use super::{TrainedConfig, TrainedFormat, base_digest, values};
use crate::adapter::{TENSORS, io, read_f32, read_fields};
use crate::params::stored_params;
use crate::{AdapterFileError, TensorProblem};

/// A directory of trained parameters whose config has been read and understood.
#[derive(Debug, Clone)]
pub struct TrainedDir {
    dir: PathBuf,
    config: TrainedConfig,
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
        let dir = dir.as_ref().to_path_buf();
        let (path, fields) = read_fields(&dir)?;
        if !TrainedConfig::is_meant_by(&fields) {
            return Ok(None);
        }
        let config = TrainedConfig::from_fields(&path, &fields)?;
        let keys = match &config.format {
            TrainedFormat::Own { .. } => strings(&path, &fields, "parameters")?,
            TrainedFormat::LnTuning { .. } => Vec::new(),
        };
        Ok(Some(Self { dir, config, keys }))
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
        let bytes = self.bytes()?;
        let shape = |(key, view): (&str, safetensors::tensor::TensorView<'_>)| {
            (self.config.path(key), view.shape().to_vec())
        };
        Ok(self.parse(&bytes)?.iter().map(shape).collect())
    }

    /// Put the file's values in the place of the model's.
    ///
    /// # Errors
    ///
    /// An [`AdapterFileError`], with the model untouched: a tensor that has no place, of another shape, or not finite, all of them named;
    /// [`AdapterFileError::OtherBase`] where the rest of the model is not what the parameters were trained with.
    pub fn attach<M: Module>(&self, model: &mut M) -> Result<TrainedReport, AdapterFileError> {
        let bytes = self.bytes()?;
        let tensors = self.parse(&bytes)?;
        let expected: BTreeMap<String, Vec<usize>> = stored_params(model)
            .into_iter()
            .map(|param| (param.path, param.shape))
            .collect();
        let mut values = BTreeMap::new();
        let missing = self.keys.iter().filter(|key| tensors.tensor(key).is_err());
        let missing = missing.map(|key| TensorProblem::Missing { key: key.clone() });
        let mut problems: Vec<TensorProblem> = missing.collect();
        for (key, view) in tensors.iter() {
            let path = self.config.path(key);
            match expected.get(&path) {
                None => problems.push(TensorProblem::Unexpected { key: key.into() }),
                Some(shape) if view.shape() != shape => problems.push(TensorProblem::Shape {
                    key: key.into(),
                    expected: shape.clone(),
                    found: view.shape().to_vec(),
                }),
                Some(_) => match read_f32(key, &view) {
                    Ok(data) => drop(values.insert(path, data)),
                    Err(problem) => problems.push(problem),
                },
            }
        }
        if !problems.is_empty() {
            return Err(AdapterFileError::Tensors {
                path: self.dir.join(TENSORS),
                problems,
            });
        }
        let paths: BTreeSet<String> = values.keys().cloned().collect();
        if let TrainedFormat::Own {
            base_digest: of, ..
        } = &self.config.format
        {
            let found = base_digest(model, &paths);
            if *of != found {
                return Err(AdapterFileError::OtherBase {
                    dir: self.dir.clone(),
                    name: self.config.base.clone().unwrap_or_else(|| "unnamed".into()),
                    expected: of.clone(),
                    found,
                });
            }
        }
        let elements = paths
            .iter()
            .map(|path| expected[path].iter().product::<usize>());
        let elements = elements.sum();
        *model = values::write(model.clone(), values);
        Ok(TrainedReport { paths, elements })
    }

    fn bytes(&self) -> Result<Vec<u8>, AdapterFileError> {
        let path = self.dir.join(TENSORS);
        fs::read(&path).map_err(|source| io("read", &path, source))
    }

    fn parse<'a>(&self, bytes: &'a [u8]) -> Result<SafeTensors<'a>, AdapterFileError> {
        SafeTensors::deserialize(bytes).map_err(|source| AdapterFileError::Safetensors {
            path: self.dir.join(TENSORS),
            source,
        })
    }
}
