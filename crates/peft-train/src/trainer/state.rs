//! [`TrainState`]: what a run needs to go on to the same bits.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::ModuleOptimizer;
use burn::tensor::{Bytes, DType, Tensor, TensorData};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde_json::{Map, Value, json};

use super::TrainConfig;
use crate::{Example, TrainError};

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
    parameters: BTreeMap<String, Kept>,
    optimizer: Vec<u8>,
}

/// A parameter; the optimizer knows it by its id.
#[derive(Debug, Clone)]
struct Kept {
    id: ParamId,
    data: TensorData,
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
    pub fn check(&self, config: &TrainConfig, examples: &[Example]) -> Result<(), TrainError> {
        self.check_settings(&settings(config, examples))
    }

    fn check_settings(&self, settings: &Map<String, Value>) -> Result<(), TrainError> {
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
        settings: &Map<String, Value>,
        optimizer: &ModuleOptimizer,
    ) -> Result<Self, TrainError> {
        let mut capture = Capture::default();
        model.visit(&mut capture);
        let optimizer = optimizer
            .into_bytes()
            .map_err(|error| cannot(format!("the optimizer's state: {error}")))?;
        Ok(Self {
            step,
            best_loss,
            settings: settings.clone(),
            parameters: capture.parameters,
            optimizer: optimizer.to_vec(),
        })
    }

    /// Puts the parameters into `model`, with the ids that they had, and the moments into `optimizer`.
    pub(super) fn restore<M: Module>(
        &self,
        model: M,
        optimizer: ModuleOptimizer,
        settings: &Map<String, Value>,
    ) -> Result<(M, ModuleOptimizer), TrainError> {
        self.check_settings(settings)?;
        let mut capture = Capture::default();
        model.visit(&mut capture);
        for (path, now) in &capture.parameters {
            let Some(kept) = self.parameters.get(path) else {
                return Err(cannot(format!("`{path}` trains now, but did not")));
            };
            let (then, now) = (&kept.data, &now.data);
            if then.shape() != now.shape() || then.dtype() != now.dtype() {
                return Err(cannot(format!(
                    "`{path}` was {:?} of {:?}, but is {:?} of {:?} now",
                    then.shape(),
                    then.dtype(),
                    now.shape(),
                    now.dtype()
                )));
            }
        }
        if let Some(path) = self
            .parameters
            .keys()
            .find(|path| !capture.parameters.contains_key(*path))
        {
            return Err(cannot(format!("`{path}` trained, but does not now")));
        }
        let model = model.map(&mut Restore {
            path: Vec::new(),
            parameters: &self.parameters,
        });
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
        Ok(Self {
            step: step.as_u64().ok_or("`step` is no number")? as usize,
            best_loss: field("best_loss")?.as_f64(),
            settings: settings
                .as_object()
                .ok_or("`settings` is no table")?
                .clone(),
            parameters,
            optimizer: tensors
                .tensor(OPTIMIZER)
                .map_err(|error| error.to_string())?
                .data()
                .to_vec(),
        })
    }
}

/// What decides the course of a run beside the model: its settings, and a digest of its rows.
pub(super) fn settings(config: &TrainConfig, examples: &[Example]) -> Map<String, Value> {
    let mut settings = match json!(config) {
        Value::Object(settings) => settings,
        _ => Map::new(),
    };
    // FNV-1a: the same on every machine and in every version.
    let mut digest = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |value: u64| digest = (digest ^ value).wrapping_mul(0x0100_0000_01b3);
    for example in examples {
        add(example.ids.len() as u64);
        example.starts.iter().for_each(|start| add(*start as u64));
        for (id, target) in example.ids.iter().zip(&example.targets) {
            add(u64::from(*id) << 1 | u64::from(*target));
        }
    }
    settings.insert("digest of the rows".into(), json!(format!("{digest:016x}")));
    settings
}

fn cannot(reason: String) -> TrainError {
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

/// Copies the parameters that train.
#[derive(Default)]
struct Capture {
    path: Vec<String>,
    parameters: BTreeMap<String, Kept>,
}

impl ModuleVisitor for Capture {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if param.is_require_grad() {
            let kept = Kept {
                id: param.id,
                data: param.base().into_data(),
            };
            self.parameters.insert(self.path.join("."), kept);
        }
    }
}

/// Puts them back.
struct Restore<'a> {
    path: Vec<String>,
    parameters: &'a BTreeMap<String, Kept>,
}

impl ModuleMapper for Restore<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(kept) = self.parameters.get(&self.path.join(".")) else {
            return param;
        };
        let (_, value, mapper) = param.consume();
        let data = kept.data.clone();
        let dtype = data.dtype();
        let value = Tensor::from_data(data, (&value.device(), dtype)).require_grad();
        Param::from_mapped_value(kept.id, value, mapper)
    }
}
