//! [`AdapterDir`]: an adapter directory, read.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::{DType, TensorData};
use peft_core::{AttachReport, ForwardPath, Layer, Summary, edit_slots, layers, module_paths};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::{Map, Value};

use super::fitted::fitted;
use super::keys::{Entry, entries};
use super::save::io;
use super::tensors::{read_f32, read_shaped};
use super::{AdapterConfig, AdapterFileError, TensorProblem};
use crate::params::stored_params;

pub(crate) const CONFIG: &str = "adapter_config.json";
pub(crate) const TENSORS: &str = "adapter_model.safetensors";

/// An adapter directory whose config has been read and understood.
#[derive(Debug, Clone)]
pub struct AdapterDir {
    pub(super) dir: PathBuf,
    pub(super) config: AdapterConfig,
    fields: Map<String, Value>,
}

/// The config file of a directory, and its fields.
pub(crate) fn read_fields(dir: &Path) -> Result<(PathBuf, Map<String, Value>), AdapterFileError> {
    let path = dir.join(CONFIG);
    if !path.is_file() {
        let is_checkpoint = dir.join("config.json").is_file();
        let dir = dir.to_path_buf();
        return Err(AdapterFileError::NotAnAdapter { dir, is_checkpoint });
    }
    let text = fs::read_to_string(&path).map_err(|source| io("read", &path, source))?;
    match serde_json::from_str(&text) {
        Ok(fields) => Ok((path, fields)),
        Err(source) => Err(AdapterFileError::Json { path, source }),
    }
}

impl AdapterDir {
    /// Read the config of an adapter directory.
    ///
    /// # Errors
    ///
    /// An [`AdapterFileError`] that names the file, and the field where there is one.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, AdapterFileError> {
        let dir = dir.as_ref().to_path_buf();
        let (path, fields) = read_fields(&dir)?;
        Ok(Self {
            config: AdapterConfig::from_fields(&path, &fields)?,
            dir,
            fields,
        })
    }

    /// The method and its config.
    pub fn config(&self) -> &AdapterConfig {
        &self.config
    }

    /// All fields of the file, those that nothing here reads included.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// The shapes of the tensors in the file, by key.
    ///
    /// # Errors
    ///
    /// Where the tensors' file cannot be read.
    pub fn tensor_shapes(&self) -> Result<Vec<(String, Vec<usize>)>, AdapterFileError> {
        let bytes = self.read_tensors()?;
        let tensors = self.parse(&bytes)?;
        let mut shapes: Vec<_> = tensors
            .iter()
            .map(|(key, view)| (key.to_owned(), view.shape().to_vec()))
            .collect();
        shapes.sort();
        Ok(shapes)
    }

    /// Attach the adapter to `model` under `name`, with the file's weights.
    ///
    /// `path` says how the model reads its adapted layers. As in PEFT, entries of the config's lists that match nothing are passed over; but
    /// every tensor of the file must have its place and every place its tensor.
    ///
    /// # Errors
    ///
    /// An [`AdapterFileError`], with the model untouched; [`PeftError::AttachesElsewhere`](peft_core::PeftError::AttachesElsewhere) for a soft prompt.
    pub fn attach<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        path: ForwardPath,
    ) -> Result<AttachReport, AdapterFileError> {
        let all_layers = layers(model);
        let paths: Vec<String> = all_layers.iter().map(|layer| layer.path.clone()).collect();
        let mut config = fitted(&self.config, &paths, &module_paths(model));
        if let Some(placement) = config.placement_mut() {
            placement.path = path;
        }
        let mut adapted = model.clone();
        let mut report = config.attach(&mut adapted, name)?;
        self.load_into(&mut adapted, name, &all_layers, &[])?;
        report.summary = Summary::of(&adapted);
        *model = adapted;
        Ok(report)
    }

    /// Put the file's weights into the slots that the attached adapter `name` has; `read` are the keys of what is read already.
    pub(super) fn load_into<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        layers: &[Layer],
        read: &[&str],
    ) -> Result<(), AdapterFileError> {
        let bytes = self.read_tensors()?;
        let tensors = self.parse(&bytes)?;
        let prefix = self.config.prefix();
        let expected = entries(model, name, prefix)?;
        let transposed: HashSet<String> = stored_params(model)
            .into_iter()
            .filter(|param| param.transposed)
            .map(|param| param.path)
            .collect();
        let mut problems = Vec::new();
        let mut values: HashMap<String, Vec<(&Entry, TensorData)>> = HashMap::new();
        for entry in &expected {
            match read_shaped(&entry.key, entry.shape(), &tensors) {
                Ok(data) => values
                    .entry(entry.slot.clone())
                    .or_default()
                    .push((entry, data)),
                Err(problem) => problems.push(problem),
            }
        }
        for (key, view) in tensors.iter() {
            if read.contains(&key) || expected.iter().any(|entry| entry.key == key) {
                continue;
            }
            match base_copy(key, prefix, layers) {
                None => problems.push(TensorProblem::Unexpected { key: key.into() }),
                Some(layer)
                    if !is_base(layer, transposed.contains(&layer.weight_path()), key, &view) =>
                {
                    problems.push(TensorProblem::OtherBase { key: key.into() });
                }
                Some(_) => {}
            }
        }
        if !problems.is_empty() {
            return Err(AdapterFileError::Tensors {
                path: self.dir.join(TENSORS),
                problems,
            });
        }
        let device = layers
            .first()
            .map(|layer| layer.device.clone())
            .unwrap_or_default();
        edit_slots(model, |path, slot| {
            for (entry, data) in values.remove(path).unwrap_or_default() {
                entry.write(slot, name, data, &device);
            }
            Ok(())
        })?;
        Ok(())
    }

    pub(super) fn read_tensors(&self) -> Result<Vec<u8>, AdapterFileError> {
        let path = self.dir.join(TENSORS);
        fs::read(&path).map_err(|source| io("read", &path, source))
    }

    pub(super) fn parse<'a>(&self, bytes: &'a [u8]) -> Result<SafeTensors<'a>, AdapterFileError> {
        SafeTensors::deserialize(bytes).map_err(|source| AdapterFileError::Safetensors {
            path: self.dir.join(TENSORS),
            reason: source.to_string(),
        })
    }
}

/// The layer of whose base weight `key` is the copy that PEFT saves beside an adapter on an embedding or an output layer.
fn base_copy<'a>(key: &str, prefix: &str, layers: &'a [Layer]) -> Option<&'a Layer> {
    let path = key
        .strip_prefix(prefix)?
        .strip_suffix(".base_layer.weight")?;
    layers.iter().find(|layer| layer.path == path)
}

fn is_base(layer: &Layer, transposed: bool, key: &str, view: &TensorView<'_>) -> bool {
    let weight = match transposed {
        true => layer.base_weight().transpose(),
        false => layer.base_weight(),
    };
    let Ok(data) = read_f32(key, view) else {
        return false;
    };
    if view.shape() != weight.dims() {
        return false;
    }
    // The copy may have been stored in another precision than the run's.
    let weight = weight.cast(DType::F32).into_data();
    weight
        .iter::<f32>()
        .zip(data.iter::<f32>())
        .all(|(a, b)| (a - b).abs() <= 1e-2 * a.abs().max(b.abs()).max(1e-3))
}
