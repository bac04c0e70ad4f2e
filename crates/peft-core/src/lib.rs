//! What every parameter-efficient fine-tuning method shares.
//!
//! A method is an [`Adapter`]: a small module that changes what a frozen weight does. Adapters live in an [`AdapterSlot`] on the parameter,
//! so a model needs no change to be adapted: Burn's own traversal shows their parameters to optimizers, records and device moves.
//!
//! - [`Targets`] say which layers; [`attach()`] puts adapters there and returns an [`AttachReport`], or an error and an untouched model.
//! - [`linear`] and [`embedding`] are the forward of Burn's layers with the adapters in factored form; a model that calls them forms no
//!   adapted weight and no gradient of its shape. A model that does not is adapted in weight space.
//! - [`set_active`], [`set_disabled`], [`rename`], [`replace`], [`detach`] and [`merge()`] manage what is attached; [`route`] gives each row of a batch its own adapter.
//! - [`FromEmbeddings`] is what soft prompts and prefixes ask of a model, [`Transformer`] what strategies by depth do.
//! - [`train_whole`] trains modules whole beside what adapts no weight, [`freeze_all_but`] a set of the model's own parameters; [`Summary`] counts.
//!
//! What a module keeps beside its parameters, as a `BatchNorm` its running statistics, is frozen with it, and trains, is switched and is saved with it where it trains
//! whole: [`statistics`], [`set_statistics`], [`freeze_statistics`].
//!
//! # What this crate does not do
//!
//! It holds no method (`peft-lora`, `peft-ia3`), reads no files (`peft-store`) and has no models (`peft-models`).
#![deny(missing_docs)]

mod adapter;
mod attach;
mod error;
mod frozen;
mod layer;
mod layer_index;
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
mod slot;
mod summary;
mod targets;
mod train_whole;
mod trainable;
mod whole;

pub use adapter::Adapter;
pub use attach::{ForwardPath, Placement, TrainBias, attach};
pub use error::{PeftError, nearest};
pub use frozen::{FrozenEmbedding, FrozenLinear};
pub use layer::{embedding, features, linear, scaled_linear, shared_embedding};
pub use layers::{Layer, LayerKind, layer_names, layers, module_paths};
pub use manage::{adapter_names, detach, rename, replace, set_active, set_disabled};
pub use matcher::has_suffix;
pub use merge::{Unmerged, into_merged, merge};
pub use model::{
    CausalLm, EVERY_SEQUENCE, FromEmbeddings, InputAdapter, KvCache, SequenceClassifier,
    TokenClassifier, Transformer, WithInput, select_positions,
};
pub use parameter::{Parameter, parameters};
pub use patterns::Patterns;
pub use report::{AdaptedLayer, AttachReport};
pub use route::{route, unroute};
pub use running::{freeze_statistics, moving_statistics, set_statistics, statistics};
pub use slot::{AdapterSlot, edit_slots, slots};
pub use summary::{Summary, SummaryRow};
pub use targets::{Choice, LayerRange, Names, Targets};
pub use train_whole::train_whole;
pub use trainable::{ParamSet, freeze_all_but};
pub use whole::Whole;
