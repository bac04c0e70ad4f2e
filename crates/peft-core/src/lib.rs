#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod attach;
mod digest;
mod error;
mod forward;
mod route;
mod select;
mod slot;
mod statistics;
mod torch_random;
mod walk;

pub use attach::{
    AdaptedLayer, AdapterCost, AttachReport, ForwardPath, ParamSet, Placed, Placement, Summary,
    SummaryRow, TokenChoice, TokenRows, TokenRowsConfig, TrainBias, Unmerged, Whole, attach,
    attach_each, chosen_layers, freeze_all_but, into_merged, merge, train_whole,
};
pub use digest::Digest;
pub use error::{PeftError, nearest};
pub use forward::{
    FrozenEmbedding, FrozenLinear, FrozenWeight, LayerInput, embedding, features, linear,
    shared_embedding, tied_output,
};
pub use route::{route, unroute};
pub use select::{
    Choice, Layer, LayerKind, LayerRange, Names, Parameter, Patterns, Targets, has_suffix,
    layer_names, layers, module_paths, parameters, with_value,
};
pub use slot::{
    Adapter, AdapterSchedule, AdapterSlot, SharedMatrix, SharedParam, acts_in_training_only,
    adapter_names, detach, dropped_input, drops, edit_all_slots, edit_slots, rename, replace,
    set_active, set_disabled, set_shared_matrices, shared_matrices, slots,
};
pub use statistics::{
    freeze_statistics, has_statistics, moving_statistics, set_statistics, statistics,
};
pub use torch_random::TorchRandom;
pub use walk::{MapParams, ParamPlace, VisitParams, map_params, visit_params};
