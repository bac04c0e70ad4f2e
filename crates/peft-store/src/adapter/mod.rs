//! HF PEFT adapter directories: `adapter_config.json` and `adapter_model.safetensors`.

mod config;
mod directory;
mod error;
mod fields;
mod fitted;
mod keys;
mod methods;
mod tensors;

pub(crate) use tensors::read_f32;

pub use config::AdapterConfig;
pub use directory::{AdapterDir, save_adapter};
pub use error::{AdapterFileError, TensorProblem};
