//! Generation defaults of a checkpoint: `generation_config.json`.

mod defaults;
mod error;
mod fields;

pub use defaults::GenerationDefaults;
pub use error::GenerationConfigError;
