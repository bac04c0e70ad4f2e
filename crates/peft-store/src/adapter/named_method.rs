//! The config of the method that a file names.

use std::path::Path;

use serde_json::{Map, Value};

use super::AdapterFileError;
use super::config::{AdapterConfig, PEFT_TYPES, read};
use super::files::OWN;
use crate::fields::{FieldError, Fields};

impl AdapterConfig {
    /// The config that the fields of an `adapter_config.json` say.
    pub(super) fn from_fields(
        path: &Path,
        map: &Map<String, Value>,
    ) -> Result<Self, AdapterFileError> {
        let fields = Fields::new(path, map);
        let Some(method) = fields.string("peft_type")? else {
            return Err(fields
                .wrong("peft_type", "the name of a method, such as LORA")
                .into());
        };
        if method == OWN {
            return Err(own_method(&fields).into());
        }
        let supported = || fields.unsupported("peft_type", PEFT_TYPES.join(", "));
        Ok(read(method, &fields).unwrap_or_else(|| Err(supported()))?)
    }
}

/// The error of reading an adapter of a method of one's own as one of PEFT's.
pub(crate) fn own_method(fields: &Fields<'_>) -> FieldError {
    let supported = format!(
        "{}; an adapter of a method of one's own is read by the program that has the method, with `OwnDir`",
        PEFT_TYPES.join(", ")
    );
    fields.unsupported("peft_type", supported)
}
