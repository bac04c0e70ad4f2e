#![doc = include_str!("../README.md")]
//! ## A model of one's own
//!
//! ```
#![doc = include_str!("../examples/own_model_prefix.rs")]
//! ```
#![deny(missing_docs)]

mod config;
mod init;
mod prefix;
mod projection;
mod shape;

pub use config::PrefixConfig;
pub use init::PrefixInit;
pub use peft_core::{AttachReport, PeftError, linear};
pub use peft_model::{
    Attention, Context, EVERY_SEQUENCE, InputAdapter, KvCache, Look, Spec, Stages, Transformer,
    WithInput,
};
pub use prefix::Prefix;
pub use projection::PrefixProjection;
pub use shape::PrefixShape;

/// A model with a prefix, or without: then it is the model.
pub type Prefixed<M> = WithInput<M, Prefix>;
