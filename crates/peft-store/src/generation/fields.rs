//! What the fields of a `generation_config.json` have beside those of any file.

use serde_json::Value;

use crate::fields::{FieldError, Fields};

impl Fields<'_> {
    /// Several tokens.
    pub(super) fn tokens(&self, field: &str) -> Result<Vec<u32>, FieldError> {
        let found = self.read(field, "a list of tokens", tokens)?;
        Ok(found.unwrap_or_default())
    }

    /// Several sequences of tokens.
    pub(super) fn sequences(&self, field: &str) -> Result<Vec<Vec<u32>>, FieldError> {
        let sequences = |value: &Value| value.as_array()?.iter().map(tokens).collect();
        let found = self.read(field, "a list of lists of tokens", sequences)?;
        Ok(found.unwrap_or_default())
    }

    /// Whether a field has a value that does something: none of these.
    pub(super) fn acts(&self, field: &str, neutral: &[f64]) -> bool {
        match self.get(field) {
            Value::Null | Value::Bool(false) => false,
            Value::Array(list) => !list.is_empty(),
            Value::Object(map) => !map.is_empty(),
            value => value
                .as_f64()
                .is_none_or(|number| !neutral.contains(&number)),
        }
    }
}

fn tokens(value: &Value) -> Option<Vec<u32>> {
    let token = |value: &Value| u32::try_from(value.as_u64()?).ok();
    value.as_array()?.iter().map(token).collect()
}
