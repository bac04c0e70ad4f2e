//! Generation defaults of a checkpoint: `generation_config.json`.

mod defaults;
mod error;
mod fields;
mod flags;
mod settings;

pub use defaults::GenerationDefaults;
pub use error::GenerationConfigError;
pub use flags::GenerationFlags;
pub use settings::GenerationSettings;
