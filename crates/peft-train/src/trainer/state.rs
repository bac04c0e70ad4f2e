//! [`TrainState`]: what a run needs to go on to the same bits.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use burn::module::{Module, ParamId};
use burn::optim::ModuleOptimizer;
use burn::tensor::{Bytes, DType, TensorData};
use peft_layerwise::Strategy;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde_json::{Map, Value, json};

use super::TrainConfig;
use super::kept::{Kept, kept, put_back};
use super::stages::Stages;
use crate::{Digest, TrainError, TrainExample};

/// The name of the optimizer's state among the tensors of a file.
const OPTIMIZER: &str = "optimizer";
/// The settings that may differ between a run and the one that goes on from it: they decide nothing that is trained.
const FREE: [&str; 1] = ["eval_every"];

/// The state of a run between two steps: the parameters that train, the optimizer's moments, and how far the run is.
///
/// Order of rows, learning rate and dropout masks follow from the settings and the step. What is frozen is not kept: the model that a run goes on with
/// must hold it. A state fits only a run of the same settings and rows, which is checked.
#[derive(Debug, Clone)]
pub struct TrainState {
    step: usize,
    best_loss: Option<f64>,
    settings: Map<String, Value>,
    /// What trained in the model that the run was given.
    given: BTreeSet<String>,
    /// What has trained in the run.
    parameters: BTreeMap<String, Kept>,
    optimizer: Vec<u8>,
}

impl TrainState {
    /// Steps done.
    pub fn step(&self) -> usize {
        self.step
    }

    /// The lowest validation loss so far.
    pub fn best_loss(&self) -> Option<f64> {
        self.best_loss
    }

    /// Whether a run of these settings and rows can go on from here.
    ///
    /// # Errors
    ///
    /// [`TrainError::Resume`] for the first setting that differs.
    pub fn check<E: TrainExample>(
        &self,
        config: &TrainConfig,
        examples: &[E],
    ) -> Result<(), TrainError> {
        self.check_settings(&of_rows(config, examples))
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.parameters.keys().map(String::as_str)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = ParamId> {
        self.parameters.values().map(|kept| kept.id)
    }

    pub(super) fn check_settings(&self, settings: &Map<String, Value>) -> Result<(), TrainError> {
        for (name, now) in settings {
            let then = self.settings.get(name).unwrap_or(&Value::Null);
            if then != now && !FREE.contains(&name.as_str()) {
                return Err(cannot(format!("`{name}` was {then}, but is {now} now")));
            }
        }
        Ok(())
    }

    pub(super) fn capture<M: Module>(
        model: &M,
        step: usize,
        best_loss: Option<f64>,
        stages: &Stages<'_>,
        settings: &Map<String, Value>,
    ) -> Result<Self, TrainError> {
        let optimizer = stages
            .optimizer()
            .into_bytes()
            .map_err(|error| cannot(format!("the optimizer's state: {error}")))?;
        Ok(Self {
            step,
            best_loss,
            settings: settings.clone(),
            given: stages.given().clone(),
            parameters: kept(model, stages.touched()),
            optimizer: optimizer.to_vec(),
        })
    }

    /// Puts the parameters into `model`, in which `given` trains, with the ids that they had, and the moments into `optimizer`.
    pub(super) fn restore<M: Module>(
        &self,
        model: M,
        optimizer: ModuleOptimizer,
        given: &BTreeSet<String>,
    ) -> Result<(M, ModuleOptimizer), TrainError> {
        if let Some(path) = given.difference(&self.given).next() {
            return Err(cannot(format!("`{path}` trains now, but did not")));
        }
        if let Some(path) = self.given.difference(given).next() {
            return Err(cannot(format!("`{path}` trained, but does not now")));
        }
        let model = put_back(model, &self.parameters)?;
        let optimizer = optimizer
            .from_bytes(Bytes::from_bytes_vec(self.optimizer.clone()))
            .map_err(|error| cannot(format!("the optimizer's state: {error}")))?;
        Ok((model, optimizer))
    }

    /// Write the state to one file, beside `path` first and then in its place.
    ///
    /// # Errors
    ///
    /// [`TrainError::Io`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), TrainError> {
        let path = path.as_ref();
        let io = |source| TrainError::Io {
            action: "write",
            path: path.into(),
            source,
        };
        let ids: Map<String, Value> = self
            .parameters
            .iter()
            .map(|(path, kept)| (path.clone(), json!(kept.id.val())))
            .collect();
        let about = json!({
            "step": self.step,
            "best_loss": self.best_loss,
            "settings": self.settings,
            "given": self.given,
            "ids": ids,
        });
        let mut views = Vec::new();
        for (path, kept) in &self.parameters {
            let dtype = stored(kept.data.dtype())
                .ok_or_else(|| cannot(format!("`{path}` is of {:?}", kept.data.dtype())))?;
            let view = TensorView::new(dtype, kept.data.shape().to_vec(), kept.data.as_bytes())
                .map_err(|error| cannot(error.to_string()))?;
            views.push((format!("parameter.{path}"), view));
        }
        let shape = vec![self.optimizer.len()];
        let optimizer = TensorView::new(Dtype::U8, shape, &self.optimizer)
            .map_err(|error| cannot(error.to_string()))?;
        views.push((OPTIMIZER.into(), optimizer));
        let metadata = HashMap::from([("state".to_owned(), about.to_string())]);
        let bytes = serialize(views, Some(metadata)).map_err(|error| cannot(error.to_string()))?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(".partial");
        fs::write(&beside, bytes).map_err(io)?;
        fs::rename(&beside, path).map_err(io)
    }

    /// Read a state that [`save`](Self::save) wrote.
    ///
    /// # Errors
    ///
    /// [`TrainError::Io`], or [`TrainError::Resume`] for a file that is no state.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, TrainError> {
        let path = path.as_ref();
        let bytes = fs::read(path).map_err(|source| TrainError::Io {
            action: "read",
            path: path.into(),
            source,
        })?;
        Self::parse(&bytes).map_err(|reason| cannot(format!("{}: {reason}", path.display())))
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
        let about = metadata
            .metadata()
            .as_ref()
            .and_then(|metadata| metadata.get("state"))
            .ok_or("it is no training state")?;
        let about: Value = serde_json::from_str(about).map_err(|error| error.to_string())?;
        let field = |name: &str| {
            let value = about.get(name).cloned();
            value.ok_or_else(|| format!("it has no `{name}`"))
        };
        let (step, ids, settings) = (field("step")?, field("ids")?, field("settings")?);
        let mut parameters = BTreeMap::new();
        for (path, id) in ids.as_object().ok_or("`ids` is no table")? {
            let view = tensors
                .tensor(&format!("parameter.{path}"))
                .map_err(|error| error.to_string())?;
            let dtype =
                loaded(view.dtype()).ok_or_else(|| format!("`{path}` is of {:?}", view.dtype()))?;
            let id = id
                .as_u64()
                .ok_or_else(|| format!("the id of `{path}` is no number"))?;
            let data =
                TensorData::from_bytes_vec(view.data().to_vec(), view.shape().to_vec(), dtype);
            let kept = Kept {
                id: ParamId::from(id),
                data,
            };
            parameters.insert(path.clone(), kept);
        }
        let given = field("given")?;
        let given = given.as_array().ok_or("`given` is no list")?;
        Ok(Self {
            step: step.as_u64().ok_or("`step` is no number")? as usize,
            best_loss: field("best_loss")?.as_f64(),
            settings: settings
                .as_object()
                .ok_or("`settings` is no table")?
                .clone(),
            given: given
                .iter()
                .map(|path| {
                    path.as_str()
                        .map(str::to_owned)
                        .ok_or("a path is no string")
                })
                .collect::<Result<_, _>>()?,
            parameters,
            optimizer: tensors
                .tensor(OPTIMIZER)
                .map_err(|error| error.to_string())?
                .data()
                .to_vec(),
        })
    }
}

/// What decides the course of a run beside the model: its settings, a digest of its rows, what it minimises, and what trains when.
pub(super) fn settings<E: TrainExample>(
    config: &TrainConfig,
    examples: &[E],
    objective: &str,
    strategy: &dyn Strategy,
) -> Map<String, Value> {
    let mut settings = of_rows(config, examples);
    settings.insert("objective".into(), json!(objective));
    settings.insert("strategy".into(), strategy.settings());
    settings
}

fn of_rows<E: TrainExample>(config: &TrainConfig, examples: &[E]) -> Map<String, Value> {
    let mut settings = match json!(config) {
        Value::Object(settings) => settings,
        _ => Map::new(),
    };
    let mut digest = Digest::default();
    for example in examples {
        example.digest(&mut digest);
    }
    settings.insert("digest of the rows".into(), json!(digest.to_string()));
    settings
}

pub(super) fn cannot(reason: String) -> TrainError {
    TrainError::Resume { reason }
}

fn stored(dtype: DType) -> Option<Dtype> {
    Some(match dtype {
        DType::F64 => Dtype::F64,
        DType::F32 => Dtype::F32,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        _ => return None,
    })
}

fn loaded(dtype: Dtype) -> Option<DType> {
    Some(match dtype {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        _ => return None,
    })
}
