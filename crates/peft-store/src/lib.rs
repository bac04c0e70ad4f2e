#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

/// The largest JSON file that is read: hundreds of times what the field's have.
const LARGEST_JSON: u64 = 64 << 20;

mod adapter;
mod base_digest;
#[cfg(feature = "models")]
mod bnb;
#[cfg(feature = "models")]
mod checkpoint;
#[cfg(feature = "models")]
mod companions;
mod fields;
mod generation;
#[cfg(feature = "models")]
mod gguf;
mod labels;
mod memory;
mod own;
mod params;
mod quantise;
mod saved;
mod tensor_file;
mod tensor_problem;
mod trained;

pub use adapter::{
    Adaptable, AdapterConfig, AdapterDir, AdapterFileError, AdapterInfo, LoraLayer, LoraLayers,
    TaskType, adaptable, save_adapter, save_prefix, save_prompt,
};
pub use base_digest::base_digest;
#[cfg(feature = "models")]
pub use checkpoint::{
    Checkpoint, CheckpointConfig, CheckpointError, DenseWeights, FamilyTargets, HeadedModel,
    Precision, checkpoint_config, fresh_config_json, write_checkpoint,
};
#[cfg(feature = "models")]
pub use companions::Companions;
pub use generation::{
    GenerationConfigError, GenerationDefaults, GenerationFlags, GenerationSettings,
};
#[cfg(feature = "models")]
pub use gguf::{with_gguf_adapter, write_gguf, write_gguf_adapter};
pub use labels::{Labels, LabelsError};
pub use memory::{MemoryError, memory_available};
pub use own::{OwnDir, save_own};
#[cfg(feature = "models")]
pub use peft_gguf::TensorType;
pub use quantise::{Held, Quantise};
pub use saved::{AttachedAdapter, SavedAdapter};
#[cfg(feature = "models")]
pub use saved::{HeadError, HeadLabels, LabelSource};
pub use tensor_problem::TensorProblem;
pub use trained::{TrainedConfig, TrainedDir, TrainedFormat, TrainedReport, save_trained};
