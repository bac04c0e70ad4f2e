//! [`Parameter`]: what a traversal tells of a parameter, and [`with_value`].

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::layer_index::layer_in_list;
use crate::select::params;

/// A float parameter of a model or of one of its adapters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its path, as Burn's traversal names it.
    pub path: String,
    /// Its name in the module that holds it: the last segment of the path.
    pub name: String,
    /// The type of that module: `Linear`.
    pub container: String,
    /// How many axes it has.
    pub rank: usize,
    /// Their lengths, as they are stored: of a linear layer `[d_in, d_out]`, but for one in column
    /// layout that is lazy.
    pub shape: Vec<usize>,
    /// The list of modules that it lies in and its index there, by the rule of
    /// [`Targets::layer_index`](crate::Targets::layer_index). An adapter's parameter lies where the
    /// layer does that it is on.
    pub layer: Option<(String, usize)>,
    /// The adapter's name, where it belongs to one.
    pub adapter: Option<String>,
    /// Whether it belongs to what a model reads beside its text, such as a soft prompt.
    pub in_input_adapter: bool,
}

/// The float parameters of a model in the order of its traversal, those of adapters after the
/// parameter that they are on.
pub fn parameters<M: Module>(model: &M) -> Vec<Parameter> {
    let of = |param: crate::select::ParamInfo| {
        let module = param
            .owner
            .rsplit_once('.')
            .map_or("", |(module, _)| module);
        Parameter {
            name: param.name().to_owned(),
            container: param.container.trim_start_matches("Struct:").to_owned(),
            rank: param.shape.num_dims(),
            shape: param.shape.to_vec(),
            layer: layer_in_list(module),
            in_input_adapter: param.reads_beside,
            adapter: param.adapter,
            path: param.path,
        }
    };
    params(model).into_iter().map(of).collect()
}

/// A parameter with another value: the same one to an optimizer, and it trains if it did.
///
/// # Shapes
///
/// `value` has the shape of the parameter.
pub fn with_value<const D: usize>(param: Param<Tensor<D>>, value: Tensor<D>) -> Param<Tensor<D>> {
    param.map(|old| {
        let value = value.without_autodiff();
        match old.gradient_checkpointing_strategy() {
            None => value,
            Some(strategy) => value
                .autodiff()
                .with_gradient_checkpointing_strategy(strategy)
                .set_require_grad(old.is_require_grad()),
        }
    })
}
