//! What the fields of an `adapter_config.json` have beside those of any file.

use peft_core::Names;
use serde_json::Value;

use crate::fields::{FieldError, Fields, as_count, strings};

impl Fields<'_> {
    /// A number that f32 holds; `null` and a missing field are `default`.
    pub(super) fn number_or_default(&self, field: &str, default: f64) -> Result<f64, FieldError> {
        let number = self.read(field, "a number that f32 holds", as_f32_number)?;
        Ok(number.unwrap_or(default))
    }

    /// Module names: a list of suffixes, or a string that is a regular expression.
    pub(super) fn names(&self, field: &str) -> Result<Option<Names>, FieldError> {
        let expected = "a list of strings or a regular expression";
        self.read(field, expected, |value| match value.as_str() {
            Some(pattern) => Some(Names::Regex(pattern.into())),
            None => strings(value).map(Names::Suffixes),
        })
    }

    /// Layer indices: a list, or one number.
    pub(super) fn indices(&self, field: &str) -> Result<Option<Vec<usize>>, FieldError> {
        self.read(field, "a list of layer indices", |value| {
            match value.as_array() {
                Some(values) => values.iter().map(as_count).collect(),
                None => as_count(value).map(|index| vec![index]),
            }
        })
    }

    /// An object of patterns, in the file's order: the first match counts.
    pub(super) fn patterns<T>(
        &self,
        field: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Vec<(String, T)>, FieldError> {
        let expected = "an object of numbers by pattern";
        let patterns = self.read(field, expected, |value| {
            let patterns = value.as_object()?.iter();
            patterns
                .map(|(pattern, value)| Some((pattern.clone(), read(value)?)))
                .collect()
        })?;
        Ok(patterns.unwrap_or_default())
    }
}

/// A number that is finite in f32 too, in which it is multiplied by.
pub(super) fn as_f32_number(value: &Value) -> Option<f64> {
    value.as_f64().filter(|number| (*number as f32).is_finite())
}
