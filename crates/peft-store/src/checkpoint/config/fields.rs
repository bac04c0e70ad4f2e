//! Typed access to the fields of a `config.json`.

use serde_json::{Map, Value};

use super::super::CheckpointError;

/// As many layers as a config may tell of: each is made, if without weights, before the file is
/// asked whether it has them.
const MAX_LAYERS: usize = 4096;

/// The fields of an object, with the name of the object around it for messages. A missing field is
/// `null`.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    map: &'a Map<String, Value>,
    within: Option<&'a str>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(map: &'a Map<String, Value>) -> Self {
        Self { map, within: None }
    }

    /// The fields of an object that is itself the field `name`.
    pub(super) fn within(map: &'a Map<String, Value>, name: &'a str) -> Self {
        let within = Some(name);
        Self { map, within }
    }

    pub(super) fn get(&self, field: &str) -> &'a Value {
        self.map.get(field).unwrap_or(&Value::Null)
    }

    /// The one of two names of a field under which it is looked for: the `other` wins where both
    /// are there, as in transformers, which sets what it knows under its own name first.
    pub(super) fn alias<'n>(&self, own: &'n str, other: &'n str) -> &'n str {
        match self.has(other) {
            true => other,
            false => own,
        }
    }

    /// A whole number that the reference has a default for where the field is missing; null is
    /// none.
    pub(super) fn count_if(&self, field: &str, default: usize) -> Result<usize, CheckpointError> {
        match self.has(field) {
            true => self.count(field),
            false => Ok(default),
        }
    }

    pub(super) fn has(&self, field: &str) -> bool {
        self.map.contains_key(field)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a String, &'a Value)> {
        self.map.iter()
    }

    fn named(&self, field: &str) -> String {
        match self.within {
            Some(object) => format!("{object}.{field}"),
            None => field.into(),
        }
    }

    pub(super) fn wrong(&self, field: &str, expected: &'static str) -> CheckpointError {
        CheckpointError::Field {
            field: self.named(field),
            found: match self.map.get(field) {
                None => "missing".into(),
                Some(value) => value.to_string(),
            },
            expected,
        }
    }

    pub(super) fn unsupported(&self, field: &str, supported: impl Into<String>) -> CheckpointError {
        CheckpointError::Unsupported {
            field: self.named(field),
            value: self.get(field).to_string(),
            supported: supported.into(),
        }
    }

    pub(super) fn count(&self, field: &str) -> Result<usize, CheckpointError> {
        self.get(field)
            .as_u64()
            .and_then(|value| usize::try_from(value).ok())
            .ok_or_else(|| self.wrong(field, "a whole number"))
    }

    /// How many layers there are.
    pub(super) fn layers(&self, field: &str, default: usize) -> Result<usize, CheckpointError> {
        match self.count_if(field, default)? {
            count if count <= MAX_LAYERS => Ok(count),
            _ => Err(self.unsupported(field, format!("at most {MAX_LAYERS}"))),
        }
    }

    /// A whole number; `null` and a missing field are `default`.
    pub(super) fn count_or(&self, field: &str, default: usize) -> Result<usize, CheckpointError> {
        Ok(self.optional_count(field)?.unwrap_or(default))
    }

    pub(super) fn optional_count(&self, field: &str) -> Result<Option<usize>, CheckpointError> {
        match self.get(field) {
            Value::Null => Ok(None),
            _ => self.count(field).map(Some),
        }
    }

    pub(super) fn number(&self, field: &str) -> Result<f64, CheckpointError> {
        self.get(field)
            .as_f64()
            .filter(|value| *value > 0.0)
            .ok_or_else(|| self.wrong(field, "a number above zero"))
    }

    pub(super) fn number_or(&self, field: &str, default: f64) -> Result<f64, CheckpointError> {
        Ok(self.optional_number(field)?.unwrap_or(default))
    }

    pub(super) fn optional_number(&self, field: &str) -> Result<Option<f64>, CheckpointError> {
        match self.get(field) {
            Value::Null => Ok(None),
            _ => self.number(field).map(Some),
        }
    }

    /// A rate, at least 0.
    pub(super) fn rate_or(&self, field: &str, default: f64) -> Result<f64, CheckpointError> {
        match self.get(field) {
            Value::Null => Ok(default),
            value => value
                .as_f64()
                .filter(|value| *value >= 0.0)
                .ok_or_else(|| self.wrong(field, "a number, at least 0")),
        }
    }

    pub(super) fn numbers(&self, field: &str) -> Result<Vec<f64>, CheckpointError> {
        self.get(field)
            .as_array()
            .and_then(|values| values.iter().map(Value::as_f64).collect())
            .ok_or_else(|| self.wrong(field, "a list of numbers"))
    }

    pub(super) fn flag(&self, field: &str) -> Result<bool, CheckpointError> {
        self.flag_or(field, false)
    }

    pub(super) fn flag_or(&self, field: &str, default: bool) -> Result<bool, CheckpointError> {
        match self.get(field) {
            Value::Null => Ok(default),
            Value::Bool(value) => Ok(*value),
            _ => Err(self.wrong(field, "true or false")),
        }
    }

    pub(super) fn string(&self, field: &str) -> Result<Option<&'a str>, CheckpointError> {
        match self.get(field) {
            Value::Null => Ok(None),
            Value::String(value) => Ok(Some(value)),
            _ => Err(self.wrong(field, "a string")),
        }
    }

    /// Refuse a setting that changes the result unless it is 1.
    pub(super) fn must_be_one(&self, field: &str) -> Result<(), CheckpointError> {
        match self.get(field) {
            Value::Null => Ok(()),
            value if value.as_f64() == Some(1.0) => Ok(()),
            _ => Err(self.unsupported(field, "1")),
        }
    }

    /// Refuse settings that change the result unless they are absent, null or false.
    pub(super) fn must_be_off(&self, fields: &[&str]) -> Result<(), CheckpointError> {
        let on = |field: &&&str| !matches!(self.get(field), Value::Null | Value::Bool(false));
        match fields.iter().find(on) {
            Some(field) => Err(self.unsupported(field, "null")),
            None => Ok(()),
        }
    }
}
