//! HF PEFT adapter directories: `adapter_config.json` and `adapter_model.safetensors`.
//!
//! In the order in which the modules use each other: what a file holds, what a method makes of it,
//! what all methods share, and the directory as a whole.

mod error;
mod fields;
mod files;
mod found;
mod key_forms;
mod layer_form;
mod tensors;
mod token_rows;

mod methods;
mod placement;

mod adaptable;
mod base;
mod base_copies;
mod beside;
mod fitted;
mod heads;
mod info;
mod input;
mod lora_layers;
mod weights;
mod whole;

mod config;
mod default_layers;
mod directory;
mod named_method;
mod save;

pub(crate) use base::{BASE_DIGEST, other_base_warning, whole};
pub(crate) use files::{OWN, create, io, pretty, read_fields, replace};
pub(crate) use found::{CONFIG, TENSORS};
pub(crate) use named_method::own_method;
#[cfg(feature = "models")]
pub(crate) use tensors::WRAPPED_MODEL;

pub use adaptable::{Adaptable, adaptable};
pub use config::AdapterConfig;
pub use directory::AdapterDir;
pub(crate) use directory::DefaultLayers;
pub use error::AdapterFileError;
pub use info::{AdapterInfo, TaskType};
pub use lora_layers::{LoraLayer, LoraLayers};
pub use save::{save_adapter, save_prefix, save_prompt};
