#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod attention;
mod causal_lm;
mod classifier;
mod context;
mod input_adapter;
mod kv_cache;
mod look;
mod pass;
mod rope;
mod rotation;
mod rows;
mod select_positions;
mod stages;
mod transformer;
mod with_input;

pub use attention::{Attention, Scores};
pub use causal_lm::CausalLm;
pub use classifier::{SequenceClassifier, TokenClassifier};
pub use context::Context;
pub use input_adapter::InputAdapter;
pub use kv_cache::KvCache;
pub use look::Look;
pub use pass::{Pass, Read};
pub use peft_kernels::{EVERY_SEQUENCE, Sight};
pub use rope::{RopeConfig, RopeScaling};
pub use select_positions::select_positions;
pub use stages::{Spec, Stages};
pub use transformer::Transformer;
pub use with_input::{INPUT_ADAPTER, WithInput};
