//! `quantization_config`: what a checkpoint is quantised by.

use serde_json::{Map, Value};

use crate::CheckpointError;

const FIELD: &str = "quantization_config";

/// Whether bitsandbytes has quantised the checkpoint; its settings are taken out of the fields,
/// since each weight says its own.
///
/// # Errors
///
/// A [`CheckpointError`] for a checkpoint that something else has quantised, with what to take
/// instead.
pub(crate) fn take_quantised(fields: &mut Map<String, Value>) -> Result<bool, CheckpointError> {
    let method = fields.get(FIELD).and_then(|of| of.get("quant_method"));
    match method.and_then(Value::as_str) {
        None => Ok(false),
        Some("bitsandbytes") => {
            fields.remove(FIELD);
            Ok(true)
        }
        Some(method) => Err(CheckpointError::QuantisedBy {
            method: method.to_owned(),
        }),
    }
}
