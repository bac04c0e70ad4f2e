//! [`GenerationConfigError`]: what can be wrong with a `generation_config.json`.

use std::path::PathBuf;

use crate::fields::FieldError;

/// Generation defaults that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerationConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no JSON.
    #[error("{} is not the JSON that it should be", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A field has a value that cannot be.
    #[error("{}: `{field}` is {found}, expected {expected}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// The field.
        field: String,
        /// Its value.
        found: String,
        /// What it should be.
        expected: String,
    },
}

impl From<FieldError> for GenerationConfigError {
    fn from(error: FieldError) -> Self {
        Self::Field {
            path: error.path,
            field: error.field,
            found: error.found,
            expected: error.fault.expected(),
        }
    }
}
