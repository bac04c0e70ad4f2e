#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod adapter;
mod adapter_names;
mod attach;
mod digest;
mod error;
mod frozen;
mod frozen_weight;
mod layer;
mod layer_index;
mod layer_kind;
mod layers;
mod manage;
mod matcher;
mod merge;
mod model;
mod parameter;
mod pattern;
mod patterns;
mod report;
mod route;
mod routed;
mod running;
mod shared_matrix;
mod slot;
mod summary;
mod targets;
mod train_whole;
mod trainable;
mod walk;
mod whole;

pub use adapter::Adapter;
pub use adapter_names::adapter_names;
pub use attach::{ForwardPath, Placement, TrainBias, attach};
pub use digest::Digest;
pub use error::{PeftError, nearest};
pub use frozen::{FrozenEmbedding, FrozenLinear, LayerInput};
pub use frozen_weight::FrozenWeight;
pub use layer::{embedding, features, linear, scaled_linear, shared_embedding};
pub use layer_kind::LayerKind;
pub use layers::{Layer, layer_names, layers, module_paths};
pub use manage::{detach, rename, replace, set_active, set_disabled};
pub use matcher::has_suffix;
pub use merge::{Unmerged, into_merged, merge};
pub use model::{
    CausalLm, EVERY_SEQUENCE, FromEmbeddings, InputAdapter, KvCache, SequenceClassifier,
    TokenClassifier, Transformer, WithInput, select_positions,
};
pub use parameter::{Parameter, parameters, with_value};
pub use patterns::Patterns;
pub use report::{AdaptedLayer, AttachReport};
pub use route::{route, unroute};
pub use running::{freeze_statistics, moving_statistics, set_statistics, statistics};
pub use shared_matrix::{SharedMatrix, set_shared_matrices, shared_matrices};
pub use slot::{AdapterSlot, edit_all_slots, edit_slots, slots};
pub use summary::{Summary, SummaryRow};
pub use targets::{Choice, LayerRange, Names, Targets};
pub use train_whole::train_whole;
pub use trainable::{ParamSet, freeze_all_but};
pub use walk::{MapParams, ParamPlace, VisitParams, map_params, visit_params};
pub use whole::Whole;
