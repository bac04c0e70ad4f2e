//! [`AdapterDir`] and [`save_adapter`]: an adapter directory, read and written.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::{DType, TensorData};
use peft_core::{
    AttachReport, ForwardPath, Layer, LayerKind, Summary, edit_slots, layers, module_paths, slots,
};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, Value};

use super::fitted::{fitted, told_apart};
use super::keys::{Entry, PREFIX, entries};
use super::tensors::{f32_bytes, read_f32};
use super::{AdapterConfig, AdapterFileError, TensorProblem};
use crate::params::stored_params;

const CONFIG: &str = "adapter_config.json";
/// Fields that say what an adapter is for, and not what it computes.
const DESCRIPTIVE: [&str; 4] = [
    "auto_mapping",
    "base_model_name_or_path",
    "revision",
    "task_type",
];
const TENSORS: &str = "adapter_model.safetensors";

/// An adapter directory whose config has been read and understood.
#[derive(Debug, Clone)]
pub struct AdapterDir {
    dir: PathBuf,
    config: AdapterConfig,
    fields: Map<String, Value>,
}

impl AdapterDir {
    /// Read the config of an adapter directory.
    ///
    /// # Errors
    ///
    /// An [`AdapterFileError`] that names the file, and the field where there is one.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, AdapterFileError> {
        let dir = dir.as_ref().to_path_buf();
        let path = dir.join(CONFIG);
        if !path.is_file() {
            let is_checkpoint = dir.join("config.json").is_file();
            return Err(AdapterFileError::NotAnAdapter { dir, is_checkpoint });
        }
        let text = fs::read_to_string(&path).map_err(|source| io("read", &path, source))?;
        let fields: Map<String, Value> =
            serde_json::from_str(&text).map_err(|source| AdapterFileError::Json {
                path: path.clone(),
                source,
            })?;
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
    /// An [`AdapterFileError`], with the model untouched.
    pub fn attach<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        path: ForwardPath,
    ) -> Result<AttachReport, AdapterFileError> {
        let all_layers = layers(model);
        let paths: Vec<String> = all_layers.iter().map(|layer| layer.path.clone()).collect();
        let mut config = fitted(&self.config, &paths, &module_paths(model));
        config.placement_mut().path = path;
        let mut adapted = model.clone();
        let mut report = config.attach(&mut adapted, name)?;
        self.load_into(&mut adapted, name, &all_layers)?;
        report.summary = Summary::of(&adapted);
        *model = adapted;
        Ok(report)
    }

    /// Put the file's weights into the attached adapter `name`.
    fn load_into<M: Module>(
        &self,
        model: &mut M,
        name: &str,
        layers: &[Layer],
    ) -> Result<(), AdapterFileError> {
        let bytes = self.read_tensors()?;
        let tensors = self.parse(&bytes)?;
        let expected = entries(model, name)?;
        let transposed: HashSet<String> = stored_params(model)
            .into_iter()
            .filter(|param| param.transposed)
            .map(|param| param.path)
            .collect();
        let mut problems = Vec::new();
        let mut values: HashMap<String, Vec<(&Entry, TensorData)>> = HashMap::new();
        for entry in &expected {
            match read_entry(entry, &tensors) {
                Ok(data) => values
                    .entry(entry.slot.clone())
                    .or_default()
                    .push((entry, data)),
                Err(problem) => problems.push(problem),
            }
        }
        for (key, view) in tensors.iter() {
            if expected.iter().any(|entry| entry.key == key) {
                continue;
            }
            match base_copy(key, layers) {
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

    fn read_tensors(&self) -> Result<Vec<u8>, AdapterFileError> {
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

fn read_entry(entry: &Entry, tensors: &SafeTensors<'_>) -> Result<TensorData, TensorProblem> {
    let key = || entry.key.clone();
    let view = tensors
        .tensor(&entry.key)
        .map_err(|_| TensorProblem::Missing { key: key() })?;
    if view.shape() != entry.shape() {
        return Err(TensorProblem::Shape {
            key: key(),
            expected: entry.shape().to_vec(),
            found: view.shape().to_vec(),
        });
    }
    read_f32(&entry.key, &view)
}

/// The layer of whose base weight `key` is the copy that PEFT saves beside an adapter on an embedding or an output layer.
fn base_copy<'a>(key: &str, layers: &'a [Layer]) -> Option<&'a Layer> {
    let path = key
        .strip_prefix(PREFIX)?
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

/// Write adapter `name` of `model` as an adapter directory that PEFT loads.
///
/// `config` is what the adapter was attached with; `base` names the base model in the config. `fields` are kept where nothing here writes
/// them, such as those of a directory that was read. Each file is written beside its place and renamed.
///
/// # Errors
///
/// An [`AdapterFileError`]; files that were there before are then as they were, or already replaced as a whole.
pub fn save_adapter<M: Module>(
    model: &M,
    name: &str,
    config: &AdapterConfig,
    base: Option<&str>,
    fields: &Map<String, Value>,
    dir: impl AsRef<Path>,
) -> Result<(), AdapterFileError> {
    let dir = dir.as_ref();
    let slots: HashMap<String, _> = slots(model).into_iter().collect();
    let entries = entries(model, name)?;
    let kinds: HashMap<String, LayerKind> = layers(model)
        .into_iter()
        .map(|layer| (layer.path, layer.kind))
        .collect();
    let stored: HashMap<String, bool> = stored_params(model)
        .into_iter()
        .map(|param| (param.path, param.transposed))
        .collect();
    let adapted: Vec<String> = entries
        .iter()
        .filter(|entry| slots[&entry.slot].method(name) == Some(config.method()))
        .filter_map(|entry| entry.slot.strip_suffix(".weight").map(str::to_owned))
        .collect();

    let mut tensors = Vec::with_capacity(entries.len());
    for entry in &entries {
        if let Some(data) = entry.read(&slots[&entry.slot], name) {
            tensors.push((entry.key.clone(), entry.shape().to_vec(), f32_bytes(data)));
        }
    }
    let path = dir.join(TENSORS);
    let views = tensors
        .iter()
        .map(|(key, shape, bytes)| Ok((key, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, _>>();
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let bytes = views
        .and_then(|views| safetensors::serialize(views, Some(metadata)))
        .map_err(|source| AdapterFileError::Safetensors {
            path: path.clone(),
            source,
        })?;

    let mut written = config.to_fields(&adapted);
    let to_save = &config.placement().modules_to_save;
    if !to_save.is_empty() {
        let names = told_apart(to_save, &module_paths(model));
        written.insert("modules_to_save".into(), names.into());
    }
    let straight = |path: &String| {
        let weight = format!("{path}.weight");
        let linear = kinds.get(path) == Some(&LayerKind::Linear);
        linear && stored.get(&weight) == Some(&false)
    };
    written.insert("fan_in_fan_out".into(), adapted.iter().any(straight).into());
    for (field, value) in fields {
        if !written.contains_key(field) || DESCRIPTIVE.contains(&field.as_str()) {
            written.insert(field.clone(), value.clone());
        }
    }
    if let Some(base) = base {
        written.insert("base_model_name_or_path".into(), base.into());
    }
    written.sort_keys();
    let mut json =
        serde_json::to_vec_pretty(&written).map_err(|source| AdapterFileError::Json {
            path: dir.join(CONFIG),
            source,
        })?;
    json.push(b'\n');

    fs::create_dir_all(dir).map_err(|source| io("create", dir, source))?;
    replace(&path, &bytes)?;
    replace(&dir.join(CONFIG), &json)
}

/// Write a file beside its place, then rename it into it.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), AdapterFileError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".tmp");
    let beside = PathBuf::from(beside);
    fs::write(&beside, bytes).map_err(|source| io("write", &beside, source))?;
    fs::rename(&beside, path).map_err(|source| io("replace", path, source))
}

fn io(action: &'static str, path: &Path, source: std::io::Error) -> AdapterFileError {
    AdapterFileError::Io {
        action,
        path: path.into(),
        source,
    }
}
