//! Typed access to the fields of an `adapter_config.json`.

use std::path::Path;

use peft_core::Names;
use serde_json::{Map, Value};

use super::AdapterFileError;

/// The fields of a config file, with the file's path for messages. A missing field is `null`.
pub(crate) struct Fields<'a> {
    pub(crate) path: &'a Path,
    pub(crate) map: &'a Map<String, Value>,
}

impl Fields<'_> {
    pub(crate) fn get(&self, field: &str) -> &Value {
        self.map.get(field).unwrap_or(&Value::Null)
    }

    pub(crate) fn wrong(&self, field: &str, expected: &'static str) -> AdapterFileError {
        AdapterFileError::Field {
            path: self.path.into(),
            field: field.into(),
            found: self.get(field).to_string(),
            expected,
        }
    }

    pub(crate) fn unsupported(&self, field: &str, supported: &str) -> AdapterFileError {
        AdapterFileError::Unsupported {
            path: self.path.into(),
            field: field.into(),
            value: self.get(field).to_string(),
            supported: supported.into(),
        }
    }

    pub(crate) fn string(&self, field: &str) -> Result<Option<&str>, AdapterFileError> {
        match self.get(field) {
            Value::Null => Ok(None),
            Value::String(value) => Ok(Some(value)),
            _ => Err(self.wrong(field, "a string")),
        }
    }

    pub(crate) fn bool(&self, field: &str) -> Result<bool, AdapterFileError> {
        match self.get(field) {
            Value::Null => Ok(false),
            Value::Bool(value) => Ok(*value),
            _ => Err(self.wrong(field, "true or false")),
        }
    }

    pub(crate) fn number(&self, field: &str, default: f64) -> Result<f64, AdapterFileError> {
        match self.get(field) {
            Value::Null => Ok(default),
            value => as_number(value).ok_or_else(|| self.wrong(field, "a number that f32 holds")),
        }
    }

    pub(crate) fn count(&self, field: &str, default: usize) -> Result<usize, AdapterFileError> {
        match self.get(field) {
            Value::Null => Ok(default),
            value => {
                as_count(value).ok_or_else(|| self.wrong(field, "a whole number, not negative"))
            }
        }
    }

    /// A list of strings; one string alone is a list of it.
    pub(crate) fn strings(&self, field: &str) -> Result<Vec<String>, AdapterFileError> {
        match self.get(field) {
            Value::Null => Ok(Vec::new()),
            Value::String(value) => Ok(vec![value.clone()]),
            _ => self.list(field),
        }
    }

    /// A list of strings, which may be missing.
    pub(crate) fn list(&self, field: &str) -> Result<Vec<String>, AdapterFileError> {
        match self.get(field) {
            Value::Null => Ok(Vec::new()),
            value => strings(value).ok_or_else(|| self.wrong(field, "a list of strings")),
        }
    }

    /// A text, where the field is one.
    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.get(field).as_str()
    }

    /// Module names: a list of suffixes, or a string that is a regular expression.
    pub(crate) fn names(&self, field: &str) -> Result<Option<Names>, AdapterFileError> {
        match self.get(field) {
            Value::Null => Ok(None),
            Value::String(pattern) => Ok(Some(Names::Regex(pattern.clone()))),
            value => strings(value)
                .map(|names| Some(Names::Suffixes(names)))
                .ok_or_else(|| self.wrong(field, "a list of strings or a regular expression")),
        }
    }

    /// Layer indices: a list, or one number.
    pub(crate) fn indices(&self, field: &str) -> Result<Option<Vec<usize>>, AdapterFileError> {
        let expected = "a list of layer indices";
        match self.get(field) {
            Value::Null => Ok(None),
            Value::Array(values) => values
                .iter()
                .map(as_count)
                .collect::<Option<_>>()
                .map(Some)
                .ok_or_else(|| self.wrong(field, expected)),
            value => as_count(value)
                .map(|index| Some(vec![index]))
                .ok_or_else(|| self.wrong(field, expected)),
        }
    }

    /// An object of patterns, in the file's order: the first match counts.
    pub(crate) fn patterns<T>(
        &self,
        field: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Vec<(String, T)>, AdapterFileError> {
        let expected = "an object of numbers by pattern";
        match self.get(field) {
            Value::Null => Ok(Vec::new()),
            Value::Object(map) => map
                .iter()
                .map(|(pattern, value)| Some((pattern.clone(), read(value)?)))
                .collect::<Option<_>>()
                .ok_or_else(|| self.wrong(field, expected)),
            _ => Err(self.wrong(field, expected)),
        }
    }
}

/// A number that is finite in f32 too, in which it is multiplied by.
pub(crate) fn as_number(value: &Value) -> Option<f64> {
    value.as_f64().filter(|number| (*number as f32).is_finite())
}

pub(crate) fn as_count(value: &Value) -> Option<usize> {
    usize::try_from(value.as_u64()?).ok()
}

fn strings(value: &Value) -> Option<Vec<String>> {
    value
        .as_array()?
        .iter()
        .map(|name| name.as_str().map(str::to_owned))
        .collect()
}
