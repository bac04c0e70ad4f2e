//! What a model is made of, and which of its layers a method attaches to.

mod layer_index;
mod layer_kind;
mod layers;
mod matcher;
mod parameter;
mod pattern;
mod patterns;
mod targets;

pub use layer_kind::LayerKind;
pub(crate) use layers::{
    INPUT_ADAPTER, ParamInfo, is_trainable, layers_of, module_paths_of, params,
};
pub use layers::{Layer, layer_names, layers, module_paths};
pub(crate) use matcher::Matcher;
pub use matcher::has_suffix;
pub use parameter::{Parameter, parameters, with_value};
pub use patterns::Patterns;
pub use targets::{Choice, LayerRange, Names, Targets};
