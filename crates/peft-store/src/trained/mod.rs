//! Directories of a model's own parameters that trained: `adapter_config.json` and
//! `adapter_model.safetensors`, as an adapter's.
//!
//! Two formats. Ours holds any parameters, under their keys in the checkpoint and in its layout;
//! its `peft_type` is one that PEFT does not know, so PEFT refuses it by name. That of PEFT's LN
//! tuning holds normalisation layers, and heads beside them.

mod config;
mod directory;
mod write;

pub use config::{TrainedConfig, TrainedFormat};
pub use directory::{TrainedDir, TrainedReport};
pub use write::save_trained;
