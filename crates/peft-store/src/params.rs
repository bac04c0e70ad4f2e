//! A model's parameters as they are stored.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::{DType, Device, TensorData};
use peft_core::{ParamPlace, VisitParams, visit_params};

/// Modules whose linear layers lie `[in, out]` in a file, as in Burn: those of GPT-2. All others
/// lie `[out, in]`.
const IN_OUT: [&str; 2] = ["Struct:Gpt2Attention", "Struct:Gpt2Mlp"];

/// A file's `[out, in]` matrix as a parameter, `[in, out]`, in memory in that order as a fresh
/// layer's is, so that it computes the same bits as what was saved.
pub(crate) fn in_out(data: TensorData, to: (&Device, DType)) -> Tensor<2> {
    let turned = Tensor::<2>::from_data(data, to).transpose().into_data();
    Tensor::from_data(turned, to)
}

/// The same values under other axes, which hold as many.
pub(crate) fn shaped(data: TensorData, shape: Vec<usize>) -> TensorData {
    let (bytes, _, dtype) = data.into_parts();
    TensorData::from_bytes(bytes, shape, dtype)
}

/// A parameter as it is stored.
pub(crate) struct StoredParam {
    pub(crate) path: String,
    /// The type of the module that holds it, as Burn names it.
    container: String,
    /// In the file's layout.
    pub(crate) shape: Vec<usize>,
    /// Whether that is Burn's the other way round.
    pub(crate) transposed: bool,
    /// Whether it is the weight of a linear layer.
    pub(crate) is_linear: bool,
}

/// Burn's norms, which call scale and shift `gamma` and `beta`; torch's call them `weight` and
/// `bias`.
const NORMS: [&str; 5] = [
    "Struct:BatchNorm",
    "Struct:GroupNorm",
    "Struct:InstanceNorm",
    "Struct:LayerNorm",
    "Struct:RmsNorm",
];
impl StoredParam {
    /// What a file calls it in its module.
    pub(crate) fn name(&self) -> &str {
        let name = self.path.rsplit('.').next().unwrap_or(&self.path);
        match (name, NORMS.contains(&self.container.as_str())) {
            ("gamma", true) => "weight",
            ("beta", true) => "bias",
            _ => name,
        }
    }

    /// Whether it is in a batch norm, of which torch keeps how many batches it has seen.
    pub(crate) fn is_of_batch_norm(&self) -> bool {
        self.container == NORMS[0]
    }
}

/// Modules whose parameters are an adapter's: inside a slot, and what a model reads beside its
/// text.
const ADAPTERS: [&str; 2] = ["Reparameterization", "InputAdapter"];

/// The model's own parameters, without those of adapters.
pub(crate) fn stored_params<M: Module>(model: &M) -> Vec<StoredParam> {
    let mut scan = Scan::default();
    visit_params(model, &mut scan);
    scan.0
}

#[derive(Default)]
struct Scan(Vec<StoredParam>);

impl VisitParams for Scan {
    fn visit<const D: usize>(&mut self, at: &ParamPlace, param: &Param<Tensor<D>>) {
        let containers = at.containers();
        let within = |kind: &str| containers.iter().any(|name| name == kind);
        if ADAPTERS.iter().any(|kind| within(kind)) {
            return;
        }
        let container = containers.last().cloned().unwrap_or_default();
        let is_linear = D == 2 && container == "Struct:Linear";
        let transposed = is_linear && !IN_OUT.iter().any(|kind| within(kind));
        let mut shape = param.lazy_shape().to_vec();
        if transposed {
            shape.reverse();
        }
        self.0.push(StoredParam {
            path: at.path(),
            container,
            shape,
            transposed,
            is_linear,
        });
    }
}
