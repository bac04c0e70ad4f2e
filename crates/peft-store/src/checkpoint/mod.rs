//! HF checkpoint directories: `config.json`, `model.safetensors` or shards with an index; and GGUF
//! files as such.
//!
//! Tensors are read piece by piece from their place in the file, so that loading takes the model's
//! memory and that of one piece. (Mapping the file into memory would do the same, but a mapped file
//! that another process shortens ends the program; no safe code can rule that out.)

mod config;
mod dense_weights;
mod devices;
mod encoder;
mod error;
mod file;
mod held;
mod index;
mod load;
mod naming;
mod open;
mod precision;
mod targets;
mod write;

pub use config::{CheckpointConfig, checkpoint_config, fresh_config_json};
pub use dense_weights::DenseWeights;
pub use encoder::HeadedModel;
pub use error::CheckpointError;
pub use load::Checkpoint;
pub use precision::Precision;
pub use targets::FamilyTargets;
pub use write::write_checkpoint;
