//! [`Checkpoint`]: a checkpoint directory, opened and loaded.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Tensor};
use peft_models::{LlamaConfig, LlamaForCausalLm};
use serde_json::{Map, Value};

use super::file::{TensorPlace, io, run_dtype, tensor_places};
use super::{CheckpointError, CheckpointProblem, llama_config};

/// A checkpoint directory whose config has been read and understood.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    dir: PathBuf,
    config: LlamaConfig,
    fields: Map<String, Value>,
}

impl Checkpoint {
    /// Read the config of a checkpoint directory.
    ///
    /// # Errors
    ///
    /// A [`CheckpointError`].
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let dir = dir.as_ref().to_path_buf();
        let path = dir.join("config.json");
        if !path.is_file() {
            let is_adapter = dir.join("adapter_config.json").is_file();
            return Err(CheckpointError::NotACheckpoint { dir, is_adapter });
        }
        let text = fs::read_to_string(&path).map_err(|source| io("read", &path, source))?;
        let fields: Map<String, Value> =
            serde_json::from_str(&text).map_err(|source| CheckpointError::Json { path, source })?;
        Ok(Self {
            config: llama_config(&fields)?,
            dir,
            fields,
        })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The sizes.
    pub fn config(&self) -> &LlamaConfig {
        &self.config
    }

    /// All fields of `config.json`.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// Whether the directory has weights, and not only a config.
    pub fn has_weights(&self) -> bool {
        !matches!(
            tensor_places(&self.dir),
            Err(CheckpointError::NoWeights { .. })
        )
    }

    /// The shapes and dtypes of the stored tensors, by key.
    ///
    /// # Errors
    ///
    /// A [`CheckpointError`].
    pub fn tensors(&self) -> Result<Vec<(String, Vec<usize>, String)>, CheckpointError> {
        Ok(tensor_places(&self.dir)?
            .into_iter()
            .map(|(key, place)| (key, place.shape.clone(), format!("{:?}", place.dtype)))
            .collect())
    }

    /// The dtype that the weights are stored in, f32 where they differ.
    ///
    /// # Errors
    ///
    /// A [`CheckpointError`].
    pub fn dtype(&self) -> Result<DType, CheckpointError> {
        let places = tensor_places(&self.dir)?;
        let mut dtypes = places.values().filter_map(|place| run_dtype(place.dtype));
        let first = dtypes.next().unwrap_or(DType::F32);
        Ok(match dtypes.all(|dtype| dtype == first) {
            true => first,
            false => DType::F32,
        })
    }

    /// The model with the directory's weights in `dtype`.
    ///
    /// A tied output layer that is stored all the same, and is not the embedding, is loaded as one of its own, as transformers does.
    ///
    /// # Errors
    ///
    /// A [`CheckpointError`]; missing, unexpected and misshapen tensors are reported together.
    pub fn load(&self, device: &Device, dtype: DType) -> Result<LlamaForCausalLm, CheckpointError> {
        let mut places = tensor_places(&self.dir)?;
        let mut config = self.config.clone();
        if config.tie_word_embeddings && has_own_head(&places)? {
            config.tie_word_embeddings = false;
        }
        let model = config.init(device);
        let expected = stored_params(&model);
        places.retain(|key, _| !is_ignored(key, &expected));
        let problems = mismatches(&expected, &places);
        if !problems.is_empty() {
            return Err(CheckpointError::Tensors {
                dir: self.dir.clone(),
                problems,
            });
        }
        let mut loader = Loader {
            path: Vec::new(),
            places,
            transposed: expected
                .into_iter()
                .map(|param| (param.path, param.transposed))
                .collect(),
            dtype,
            error: None,
        };
        let model = model.map(&mut loader);
        match loader.error {
            Some(error) => Err(error),
            None => Ok(model),
        }
    }
}

/// A parameter as it is stored.
pub(super) struct StoredParam {
    pub(super) path: String,
    /// In torch's layout.
    pub(super) shape: Vec<usize>,
    pub(super) transposed: bool,
}

/// The model's own parameters, without those of adapters.
pub(super) fn stored_params<M: Module>(model: &M) -> Vec<StoredParam> {
    let mut scan = Scan::default();
    model.visit(&mut scan);
    scan.params
}

#[derive(Default)]
struct Scan {
    path: Vec<String>,
    containers: Vec<String>,
    params: Vec<StoredParam>,
}

impl ModuleVisitor for Scan {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.push(name.into());
        self.containers.push(container.into());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
        self.containers.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self
            .containers
            .iter()
            .any(|name| name == "Reparameterization")
        {
            return;
        }
        // Burn's linear layers hold [d_in, d_out], torch's [d_out, d_in].
        let transposed = D == 2
            && self
                .containers
                .last()
                .is_some_and(|name| name == "Struct:Linear");
        let mut shape = param.lazy_shape().to_vec();
        if transposed {
            shape.reverse();
        }
        self.params.push(StoredParam {
            path: self.path.join("."),
            shape,
            transposed,
        });
    }
}

/// Whether an output layer is stored that is not the embedding.
fn has_own_head(places: &BTreeMap<String, TensorPlace>) -> Result<bool, CheckpointError> {
    let (Some(head), Some(embedding)) = (
        places.get("lm_head.weight"),
        places.get("model.embed_tokens.weight"),
    ) else {
        return Ok(false);
    };
    if (&head.shape, head.dtype) != (&embedding.shape, embedding.dtype) {
        return Ok(true);
    }
    if run_dtype(head.dtype).is_none() {
        return Ok(false); // the embedding's dtype is then refused by name
    }
    Ok(head.read(false)?.as_bytes() != embedding.read(false)?.as_bytes())
}

/// Tensors that checkpoints carry and no model needs: rotary tables of old releases, and the copy of a tied embedding.
fn is_ignored(key: &str, expected: &[StoredParam]) -> bool {
    let tied = !expected.iter().any(|param| param.path == "lm_head.weight");
    key.ends_with(".rotary_emb.inv_freq") || (tied && key == "lm_head.weight")
}

fn mismatches(
    expected: &[StoredParam],
    places: &BTreeMap<String, TensorPlace>,
) -> Vec<CheckpointProblem> {
    let mut problems = Vec::new();
    for param in expected {
        let key = || param.path.clone();
        match places.get(&param.path) {
            None => problems.push(CheckpointProblem::Missing { key: key() }),
            Some(place) if place.shape != param.shape => problems.push(CheckpointProblem::Shape {
                key: key(),
                expected: param.shape.clone(),
                found: place.shape.clone(),
            }),
            Some(place) if run_dtype(place.dtype).is_none() => {
                problems.push(CheckpointProblem::Dtype {
                    key: key(),
                    found: format!("{:?}", place.dtype),
                });
            }
            Some(_) => {}
        }
    }
    let unexpected = places
        .keys()
        .filter(|key| !expected.iter().any(|param| param.path == **key));
    problems.extend(unexpected.map(|key| CheckpointProblem::Unexpected { key: key.clone() }));
    problems
}

struct Loader {
    path: Vec<String>,
    places: BTreeMap<String, TensorPlace>,
    transposed: HashMap<String, bool>,
    dtype: DType,
    error: Option<CheckpointError>,
}

impl ModuleMapper for Loader {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        let (Some(place), None) = (self.places.get(&path), &self.error) else {
            return param;
        };
        let transposed = self.transposed.get(&path).copied().unwrap_or(false);
        match place.read(transposed) {
            Ok(data) => {
                let device = param.lazy_device();
                let tensor =
                    Tensor::from_data(data.convert_dtype(self.dtype), (&device, self.dtype));
                let id = param.id;
                param.transform_for_load(tensor, id)
            }
            Err(error) => {
                self.error = Some(error);
                param
            }
        }
    }
}
