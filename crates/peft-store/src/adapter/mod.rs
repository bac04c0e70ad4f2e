//! HF PEFT adapter directories: `adapter_config.json` and `adapter_model.safetensors`.
// What adapters of weights need is idle in a build without any.
#![cfg_attr(not(any(feature = "lora", feature = "ia3")), allow(dead_code))]

mod about;
mod base;
mod base_copies;
mod config;
mod defaults;
mod directory;
mod error;
mod fields;
mod fitted;
mod found;
mod heads;
#[cfg(feature = "inputs")]
mod input;
mod key_forms;
mod keys;
mod methods;
#[cfg(feature = "prefix")]
mod prefix;
#[cfg(feature = "ptuning")]
mod prompt;
mod save;
mod tensors;
mod whole;

pub(crate) use base::{BASE_DIGEST, other_base_warning, whole};
pub(crate) use directory::{CONFIG, TENSORS, read_fields};
pub(crate) use save::{io, pretty, replace};

pub use about::{About, TaskType};
pub use config::AdapterConfig;
pub use directory::AdapterDir;
pub use error::{AdapterFileError, TensorProblem};
#[cfg(feature = "prefix")]
pub use prefix::save_prefix;
#[cfg(feature = "ptuning")]
pub use prompt::save_prompt;
pub use save::save_adapter;
