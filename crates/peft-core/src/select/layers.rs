//! What a model is made of: its parameters and the layers that can be adapted.

use std::any::Any;
use std::collections::HashSet;

use burn::module::{Module, Param, Reparameterization};
use burn::tensor::{DType, Device, Distribution, Shape, Tensor};

use crate::slot::REPARAMETERIZATION;
use crate::{
    AdapterSlot, FrozenWeight, LayerKind, ParamPlace, PeftError, VisitParams, visit_params,
};

/// The type under which a traversal shows what a model reads beside its text, such as a soft
/// prompt: `peft_model::INPUT_ADAPTER`.
pub(crate) const INPUT_ADAPTER: &str = "InputAdapter";

/// A layer that can be adapted.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Its path in the model, such as `model.layers.0.self_attn.q_proj`.
    pub path: String,
    /// What it is.
    pub kind: LayerKind,
    /// The shape of its weight: `[d_in, d_out]` of a linear layer, `[n_embeddings, d_model]` of an
    /// embedding. Of a convolution the matrix by which a window is multiplied: `d_in` is the
    /// window's channels (of one group) times the kernel's sides, `d_out` its output channels.
    pub shape: [usize; 2],
    /// Whether it has a bias.
    pub has_bias: bool,
    /// Where its weight is, or will be, with the autodiff context that the model has.
    pub device: Device,
    weight: Weight,
}

/// The weight of a layer by its rank.
#[derive(Debug, Clone)]
enum Weight {
    Matrix(Param<Tensor<2>>),
    Conv1d(Param<Tensor<3>>),
    Conv2d(Param<Tensor<4>>),
}

impl Weight {
    fn of<const D: usize>(param: &Param<Tensor<D>>) -> Option<Self> {
        let param = param as &dyn Any;
        let matrix = || {
            Some(Self::Matrix(
                param.downcast_ref::<Param<Tensor<2>>>()?.clone(),
            ))
        };
        let line = || {
            Some(Self::Conv1d(
                param.downcast_ref::<Param<Tensor<3>>>()?.clone(),
            ))
        };
        let plane = || {
            Some(Self::Conv2d(
                param.downcast_ref::<Param<Tensor<4>>>()?.clone(),
            ))
        };
        matrix().or_else(line).or_else(plane)
    }
}

impl Layer {
    /// The frozen weight, of [`shape`](Self::shape), without any adapter. Initialises a lazy
    /// parameter.
    pub fn frozen_weight(&self) -> FrozenWeight {
        match &self.weight {
            Weight::Matrix(weight) => FrozenWeight::of(weight),
            Weight::Conv1d(weight) => FrozenWeight::of(weight).as_matrix(),
            Weight::Conv2d(weight) => FrozenWeight::of(weight).as_matrix(),
        }
    }

    /// The axes of its weight as it lies: those of [`shape`](Self::shape), of a convolution
    /// `[d_out, channels of a group, sides of the kernel…]`.
    pub fn axes(&self) -> Vec<usize> {
        match &self.weight {
            Weight::Matrix(_) => self.shape.to_vec(),
            Weight::Conv1d(weight) => weight.lazy_shape().to_vec(),
            Weight::Conv2d(weight) => weight.lazy_shape().to_vec(),
        }
    }

    /// The layer with its shape as the forward sees it. Initialises a lazy parameter: a linear
    /// layer in column layout names the shape that it stores until then.
    pub(crate) fn settled(mut self) -> Self {
        self.shape = self.frozen_weight().dims();
        self
    }

    /// Whether it takes factors of this rank. One above a layer's sides adds nothing, and one from
    /// a file or a flag may be any number: it is bounded before anything of its size is made.
    ///
    /// # Errors
    ///
    /// [`PeftError::InvalidSetting`] for 0 and for more than 1024 and the larger side.
    pub fn check_rank(&self, rank: usize) -> Result<(), PeftError> {
        let [d_in, d_out] = self.shape;
        let expected = match rank {
            0 => "at least 1",
            rank if rank > d_in.max(d_out).max(1024) => {
                "at most 1024, or the larger side of the layer"
            }
            _ => return Ok(()),
        };
        Err(PeftError::InvalidSetting {
            field: format!("rank of `{}`", self.path),
            value: rank.to_string(),
            expected,
        })
    }

    /// A matrix of zeros for an adapter, in f32 and where the layer is.
    pub fn zeros<const D: usize>(&self, shape: [usize; D]) -> Tensor<D> {
        Tensor::zeros(shape, (&self.device, DType::F32))
    }

    /// A random one, uniform between `±1/√n` where it multiplies rows of `n`, its first axis:
    /// PyTorch's `kaiming_uniform_` with `a = √5`.
    pub fn kaiming(&self, shape: [usize; 2]) -> Tensor<2> {
        let bound = 1.0 / (shape[0].max(1) as f64).sqrt();
        let uniform = Distribution::Uniform(-bound, bound);
        Tensor::random(shape, uniform, (&self.device, DType::F32))
    }

    /// The path of its weight.
    pub fn weight_path(&self) -> String {
        joined(&self.path, "weight")
    }

    /// The path of its bias, which it may not have.
    pub fn bias_path(&self) -> String {
        joined(&self.path, "bias")
    }
}

/// A parameter's path; a layer that is the whole model has an empty one.
fn joined(module: &str, name: &str) -> String {
    match module {
        "" => name.into(),
        module => format!("{module}.{name}"),
    }
}

/// A float parameter of the model itself or of an adapter.
#[derive(Debug, Clone)]
pub(crate) struct ParamInfo {
    pub(crate) path: String,
    /// The type of the module that holds it, as Burn names it: `Struct:Linear`.
    pub(crate) container: String,
    pub(crate) shape: Shape,
    pub(crate) device: Device,
    pub(crate) trainable: bool,
    /// The adapter's name, where it belongs to one.
    pub(crate) adapter: Option<String>,
    /// The path of the parameter whose slot holds it; its own where none does.
    pub(crate) owner: String,
    /// Whether it lies in an input adapter.
    pub(crate) reads_beside: bool,
    weight: Option<Weight>,
}

impl ParamInfo {
    pub(crate) fn module_path(&self) -> &str {
        self.path.rsplit_once('.').map_or("", |(module, _)| module)
    }

    pub(crate) fn name(&self) -> &str {
        self.path
            .rsplit_once('.')
            .map_or(self.path.as_str(), |(_, name)| name)
    }

    fn kind(&self) -> Option<LayerKind> {
        kind(&self.container, self.name(), self.shape.num_dims())
    }
}

/// The kind of the layer whose weight a parameter is.
fn kind(container: &str, name: &str, n_dims: usize) -> Option<LayerKind> {
    match (name, n_dims, container) {
        ("weight", 2, "Struct:Linear") => Some(LayerKind::Linear),
        ("weight", 2, "Struct:Embedding") => Some(LayerKind::Embedding),
        ("weight", 3, "Struct:Conv1d") | ("weight", 4, "Struct:Conv2d") => Some(LayerKind::Conv),
        _ => None,
    }
}

#[derive(Default)]
struct Names(Vec<(String, LayerKind)>);

impl VisitParams for Names {
    fn visit<const D: usize>(&mut self, at: &ParamPlace, _param: &Param<Tensor<D>>) {
        let adapts = |kind: &String| kind == REPARAMETERIZATION || kind == INPUT_ADAPTER;
        let (Some(name), Some(container)) = (at.segments().last(), at.containers().last()) else {
            return;
        };
        if let Some(kind) = kind(container, name, D)
            && !at.containers().iter().any(adapts)
        {
            self.0.push((at.module(), kind));
        }
    }
}

/// The paths and kinds of the layers that can be adapted, in the model's order. No weight is
/// initialised: a model of any size costs no more than its names.
pub fn layer_names<M: Module>(model: &M) -> Vec<(String, LayerKind)> {
    let mut names = Names::default();
    visit_params(model, &mut names);
    names.0
}

#[derive(Default)]
struct Scan(Vec<ParamInfo>);

impl VisitParams for Scan {
    fn visit<const D: usize>(&mut self, at: &ParamPlace, param: &Param<Tensor<D>>) {
        let (names, kinds) = (at.segments(), at.containers());
        let slot = kinds.iter().zip(names).position(|(container, name)| {
            container == REPARAMETERIZATION && name == AdapterSlot::NAME
        });
        self.0.push(ParamInfo {
            path: at.path(),
            owner: names[..slot.unwrap_or(names.len())].join("."),
            reads_beside: kinds.iter().any(|kind| kind == INPUT_ADAPTER),
            container: kinds.last().cloned().unwrap_or_default(),
            shape: param.lazy_shape(),
            device: param.lazy_device(),
            trainable: is_trainable(param),
            adapter: slot.and_then(|slot| names.get(slot + 1).cloned()),
            weight: Weight::of(param),
        });
    }
}

/// Whether a parameter trains, now or once the module is put in training.
///
/// A weight that is lazy stays so: what a value would be set to is asked of one number in its
/// place.
pub(crate) fn is_trainable<const D: usize>(param: &Param<Tensor<D>>) -> bool {
    let device = param.lazy_device();
    let param = match param.is_initialized() {
        true => param.clone(),
        false => {
            let value = Tensor::zeros([1; D], &device);
            param.clone().transform_for_load(value, param.id)
        }
    };
    if device.is_autodiff() {
        return param.base().is_require_grad();
    }
    // A plain device cannot hold the requirement; the configured one comes back with `train`.
    Module::train(param).base().is_require_grad()
}

/// All float parameters, in the model's order, those of adapters after the parameter they sit on.
pub(crate) fn params<M: Module>(model: &M) -> Vec<ParamInfo> {
    let mut scan = Scan::default();
    visit_params(model, &mut scan);
    scan.0
}

/// The layers of a model that can be adapted, in the model's order. Initialises their weights where
/// they are lazy.
pub fn layers<M: Module>(model: &M) -> Vec<Layer> {
    let layers = layers_of(&params(model)).into_iter();
    layers.map(Layer::settled).collect()
}

/// As [`layers`], but a weight that is lazy stays so and its shape is the stored one.
pub(crate) fn layers_of(params: &[ParamInfo]) -> Vec<Layer> {
    let base: Vec<_> = params
        .iter()
        .filter(|param| param.adapter.is_none() && !param.reads_beside)
        .collect();
    base.iter()
        .filter_map(|param| {
            let kind = param.kind()?;
            let path = param.module_path().to_owned();
            let bias = joined(&path, "bias");
            Some(Layer {
                has_bias: base.iter().any(|other| other.path == bias),
                path,
                kind,
                shape: match kind {
                    LayerKind::Linear | LayerKind::Embedding => [param.shape[0], param.shape[1]],
                    // [d_out, channels of a group, kernel…]
                    LayerKind::Conv => [param.shape[1..].iter().product(), param.shape[0]],
                },
                device: param.device.clone(),
                weight: param.weight.clone()?,
            })
        })
        .collect()
}

/// The paths of a model's modules that hold a float parameter, directly or not, each once.
pub fn module_paths<M: Module>(model: &M) -> Vec<String> {
    module_paths_of(&params(model))
}

pub(crate) fn module_paths_of(params: &[ParamInfo]) -> Vec<String> {
    let mut seen = HashSet::new();
    modules(params)
        .filter(|module| !module.is_empty() && seen.insert(*module))
        .map(str::to_owned)
        .collect()
}

/// Paths of all modules that hold a parameter, directly or not.
pub(crate) fn modules(params: &[ParamInfo]) -> impl Iterator<Item = &str> {
    params
        .iter()
        .filter(|param| param.adapter.is_none())
        .flat_map(|param| {
            let path = param.module_path();
            path.match_indices('.')
                .map(|(at, _)| &path[..at])
                .chain([path])
        })
}
