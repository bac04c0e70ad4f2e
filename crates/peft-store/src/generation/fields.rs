//! Reading single fields of a config.

use std::path::Path;

use serde_json::{Map, Value};

use super::GenerationConfigError;

/// The fields of a file, where null is as good as missing.
pub(super) struct Fields<'a> {
    pub(super) path: &'a Path,
    pub(super) map: &'a Map<String, Value>,
}

impl Fields<'_> {
    fn get(&self, field: &str) -> Option<&Value> {
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
            path: self.path.into(),
            field,
            found: value.to_string(),
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

    /// A number above zero.
    pub(super) fn positive(
        &self,
        field: &'static str,
    ) -> Result<Option<f64>, GenerationConfigError> {
        let positive = |value: &Value| value.as_f64().filter(|number| *number > 0.0);
        self.read(field, "a number above 0", positive)
    }

    /// One token, or several.
    pub(super) fn tokens(&self, field: &'static str) -> Result<Vec<u32>, GenerationConfigError> {
        let token = |value: &Value| u32::try_from(value.as_u64()?).ok();
        let tokens = |value: &Value| match value {
            Value::Array(list) => list.iter().map(token).collect(),
            value => Some(vec![token(value)?]),
        };
        let found = self.read(field, "a token or a list of tokens", tokens)?;
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
