//! [`AdapterDir`]: an adapter directory, read.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::{DType, TensorData};
use peft_core::{
    AttachReport, ForwardPath, Layer, LayerKind, Summary, edit_slots, layers, module_paths,
};
use peft_safetensors::TensorPlace;
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::{Map, Value};

#[cfg(feature = "lora")]
use super::fitted::chosen;
use super::fitted::{OUTPUT_LAYER, fitted};
use super::found::{found, instead_of_tensors};
use super::key_forms::own_key;
use super::keys::{Entry, entries};
use super::save::io;
use super::tensors::{read_f32, read_shaped};
use super::{AdapterConfig, AdapterFileError, TensorProblem};
use crate::LARGEST_JSON;
use crate::params::stored_params;

pub(crate) const CONFIG: &str = "adapter_config.json";
/// What mlx-lm calls the tensors of an adapter.
const MLX: &str = "adapters.safetensors";
pub(crate) const TENSORS: &str = "adapter_model.safetensors";
/// The largest file of an adapter's tensors that is read, whole.
pub(super) const LARGEST: u64 = 64 << 30;

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
        return Err(not_an_adapter(dir));
    }
    let text =
        peft_files::read_text(&path, LARGEST_JSON).map_err(|source| io("read", &path, source))?;
    match serde_json::from_str::<Map<String, Value>>(&text) {
        // mlx-lm's file has the same name.
        Ok(fields) if !fields.contains_key("peft_type") && dir.join(MLX).is_file() => {
            Err(not_an_adapter(dir))
        }
        Ok(fields) => Ok((path, fields)),
        Err(source) => Err(AdapterFileError::Json { path, source }),
    }
}

fn not_an_adapter(dir: &Path) -> AdapterFileError {
    AdapterFileError::NotAnAdapter {
        dir: dir.into(),
        found: found(dir),
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
        let mut config = self.config.clone();
        if let Some(placement) = config.placement_mut() {
            placement.modules_to_save = self.modules_to_save()?;
        }
        let mut config = fitted(&config, &paths, &module_paths(model));
        if let Some(placement) = config.placement_mut() {
            placement.path = path;
        }
        self.check_ranks(&config, &paths)?;
        let mut adapted = model.clone();
        let mut report = config.attach(&mut adapted, name)?;
        self.load_into(&mut adapted, name, &all_layers, &[])?;
        report.summary = Summary::of(&adapted);
        *model = adapted;
        Ok(report)
    }

    /// A rank is one that the file's tensors have, before anything of its size is made.
    fn check_ranks(
        &self,
        config: &AdapterConfig,
        layers: &[String],
    ) -> Result<(), AdapterFileError> {
        #[cfg(feature = "lora")]
        if let AdapterConfig::Lora(lora) = config {
            let tensors = self.places()?;
            let ranks = tensors.iter().filter(|(key, _)| key.contains("lora_"));
            let ranks = ranks.map(|(_, place)| place.shape().iter().copied().min().unwrap_or(0));
            let largest = ranks.max().unwrap_or(0);
            let adapted = chosen(&lora.placement.targets, layers);
            let paths: Vec<&str> = adapted.iter().map(String::as_str).collect();
            let asked = lora
                .rank_pattern
                .resolve("rank pattern", &paths, &lora.rank);
            let too_large = asked
                .ok()
                .into_iter()
                .flatten()
                .find(|rank| *rank > largest);
            if let Some(rank) = too_large.filter(|_| largest > 0) {
                return Err(AdapterFileError::Rank {
                    path: self.dir.join(CONFIG),
                    field: if rank == lora.rank {
                        "r"
                    } else {
                        "rank_pattern"
                    },
                    rank,
                    largest,
                });
            }
        }
        let _ = (config, layers);
        Ok(())
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
        let wanted: HashSet<&str> = expected.iter().map(|entry| entry.key.as_str()).collect();
        // Keys as they are come first, whatever others stand for the same.
        let mut held: HashMap<String, &str> = HashMap::new();
        let keys = tensors.names();
        let exact = keys.iter().filter(|key| wanted.contains(**key));
        held.extend(exact.map(|key| ((*key).to_owned(), *key)));
        let mut others: Vec<&str> = keys.to_vec();
        others.sort_unstable();
        for key in others {
            if let Some(own) = own_key(key, prefix, &wanted) {
                held.entry(own).or_insert(key);
            }
        }
        let taken: HashSet<&str> = held.values().copied().collect();
        let transposed: HashSet<String> = stored_params(model)
            .into_iter()
            .filter(|param| param.transposed)
            .map(|param| param.path)
            .collect();
        let mut problems = Vec::new();
        let mut values: HashMap<String, Vec<(&Entry, TensorData)>> = HashMap::new();
        for entry in &expected {
            let key = held.get(&entry.key).copied().unwrap_or(&entry.key);
            match read_shaped(key, entry.shape(), &tensors) {
                Ok(data) => values
                    .entry(entry.slot.clone())
                    .or_default()
                    .push((entry, data)),
                Err(problem) => problems.push(problem),
            }
        }
        for (key, view) in tensors.iter() {
            if read.contains(&key) || taken.contains(key) {
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

    /// The file of tensors; an error that says what to do where another form of it is there.
    fn tensors_path(&self) -> Result<PathBuf, AdapterFileError> {
        let path = self.dir.join(TENSORS);
        match instead_of_tensors(&self.dir).filter(|_| !path.exists()) {
            Some(advice) => Err(AdapterFileError::OtherTensors {
                dir: self.dir.clone(),
                advice,
            }),
            None => Ok(path),
        }
    }

    /// Where the tensors are, by key.
    pub(super) fn places(&self) -> Result<BTreeMap<String, TensorPlace>, AdapterFileError> {
        Ok(peft_safetensors::open(&self.tensors_path()?)?.tensors)
    }

    pub(super) fn read_tensors(&self) -> Result<Vec<u8>, AdapterFileError> {
        let path = self.tensors_path()?;
        peft_files::read(&path, LARGEST).map_err(|source| io("read", &path, source))
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
    let path = key.strip_prefix(prefix)?.strip_suffix(".weight")?;
    let (path, beside) = match path.strip_suffix(".base_layer") {
        Some(path) => (path, true),
        None => (path, false),
    };
    let embedding = |layer: &&Layer| layer.kind == LayerKind::Embedding;
    // Beside no adapter PEFT saves these two alone, where the vocabulary was changed or it is asked to.
    let whole =
        |layer: &&Layer| beside || layer.kind == LayerKind::Embedding || layer.path == OUTPUT_LAYER;
    let own = layers.iter().find(|layer| layer.path == path);
    // An output layer that is tied has no weight of its own.
    let tied = || {
        layers
            .iter()
            .find(embedding)
            .filter(|_| path == OUTPUT_LAYER)
    };
    own.filter(whole).or_else(tied)
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
