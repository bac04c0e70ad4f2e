#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

/// The largest JSON file that is read: hundreds of times what the field's have.
const LARGEST_JSON: u64 = 64 << 20;

#[cfg(feature = "adapters")]
mod adapter;
#[cfg(feature = "models")]
mod checkpoint;
#[cfg(feature = "models")]
mod companions;
mod generation;
mod labels;
#[cfg(any(feature = "adapters", feature = "models"))]
mod memory;
#[cfg(feature = "adapters")]
mod own;
#[cfg(any(feature = "adapters", feature = "models"))]
mod params;
#[cfg(any(feature = "adapters", feature = "models"))]
mod tensor_file;
#[cfg(feature = "adapters")]
mod trained;

#[cfg(feature = "prefix")]
pub use adapter::save_prefix;
#[cfg(feature = "ptuning")]
pub use adapter::save_prompt;
#[cfg(feature = "adapters")]
pub use adapter::{
    About, AdapterConfig, AdapterDir, AdapterFileError, TaskType, TensorProblem, save_adapter,
};
#[cfg(feature = "models")]
pub use checkpoint::{
    Checkpoint, CheckpointConfig, CheckpointError, CheckpointProblem, FamilyTargets, Headed,
    Precision, checkpoint_config, fresh_config_json, write_checkpoint,
};
#[cfg(feature = "models")]
pub use companions::Companions;
pub use generation::{
    GenerationConfigError, GenerationDefaults, GenerationFlags, GenerationSettings,
};
pub use labels::{Labels, LabelsError};
#[cfg(any(feature = "adapters", feature = "models"))]
pub use memory::MemoryError;
#[cfg(feature = "adapters")]
pub use own::{OwnDir, save_own};
#[cfg(feature = "adapters")]
pub use trained::{
    TrainedConfig, TrainedDir, TrainedFormat, TrainedReport, base_digest, save_trained,
};
