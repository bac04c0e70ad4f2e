//! Reading single fields of a config.

use std::path::Path;

use serde_json::{Map, Value};

use super::GenerationConfigError;

/// The fields of a file, where null is as good as missing.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    pub(super) path: std::path::PathBuf,
    pub(super) map: Map<String, Value>,
}

impl Fields {
    pub(super) fn new(path: &Path, map: Map<String, Value>) -> Self {
        Self {
            path: path.into(),
            map,
        }
    }

    pub(super) fn get(&self, field: &str) -> Option<&Value> {
        self.map.get(field).filter(|value| !value.is_null())
    }

    fn read<T>(
        &self,
        field: &'static str,
        expected: &'static str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, GenerationConfigError> {
        let Some(value) = self.get(field) else {
            return Ok(None);
        };
        let wrong = || GenerationConfigError::Field {
            path: self.path.clone(),
            field,
            found: value.to_string().chars().take(100).collect(),
            expected,
        };
        read(value).map(Some).ok_or_else(wrong)
    }

    pub(super) fn flag(&self, field: &'static str) -> Result<Option<bool>, GenerationConfigError> {
        self.read(field, "true or false", Value::as_bool)
    }

    pub(super) fn count(
        &self,
        field: &'static str,
    ) -> Result<Option<usize>, GenerationConfigError> {
        let count = |value: &Value| usize::try_from(value.as_u64()?).ok();
        self.read(field, "a whole number", count)
    }

    /// A number in a range.
    pub(super) fn number(
        &self,
        field: &'static str,
        expected: &'static str,
        fits: impl FnOnce(f64) -> bool,
    ) -> Result<Option<f64>, GenerationConfigError> {
        self.read(field, expected, |value| {
            value.as_f64().filter(|number| fits(*number))
        })
    }

    /// Several tokens.
    pub(super) fn tokens(&self, field: &'static str) -> Result<Vec<u32>, GenerationConfigError> {
        let found = self.read(field, "a list of tokens", tokens)?;
        Ok(found.unwrap_or_default())
    }

    /// Several sequences of tokens.
    pub(super) fn sequences(
        &self,
        field: &'static str,
    ) -> Result<Vec<Vec<u32>>, GenerationConfigError> {
        let sequences = |value: &Value| value.as_array()?.iter().map(tokens).collect();
        let found = self.read(field, "a list of lists of tokens", sequences)?;
        Ok(found.unwrap_or_default())
    }

    /// Whether a field has a value that does something: none of these.
    pub(super) fn acts(&self, field: &str, neutral: &[f64]) -> bool {
        match self.get(field) {
            None | Some(Value::Bool(false)) => false,
            Some(Value::Array(list)) => !list.is_empty(),
            Some(Value::Object(map)) => !map.is_empty(),
            Some(value) => value
                .as_f64()
                .is_none_or(|number| !neutral.contains(&number)),
        }
    }
}

fn tokens(value: &Value) -> Option<Vec<u32>> {
    let token = |value: &Value| u32::try_from(value.as_u64()?).ok();
    value.as_array()?.iter().map(token).collect()
}
