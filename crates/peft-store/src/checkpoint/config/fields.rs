//! What the fields of a `config.json` have beside those of any file.

use serde_json::Value;

use crate::fields::{FieldError, Fields};

/// As many layers as a config may tell of: each is made, if without weights, before the file is
/// asked whether it has them.
const MAX_LAYERS: usize = 4096;

impl Fields<'_> {
    /// The one of two names of a field under which it is looked for: the `other` wins where both
    /// are there, as in transformers, which sets what it knows under its own name first.
    pub(super) fn alias<'n>(&self, own: &'n str, other: &'n str) -> &'n str {
        match self.has(other) {
            true => other,
            false => own,
        }
    }

    /// A whole number.
    pub(super) fn count(&self, field: &str) -> Result<usize, FieldError> {
        let count = self.optional_count(field)?;
        count.ok_or_else(|| self.wrong(field, "a whole number"))
    }

    /// A whole number that the reference has a default for where the field is missing; null is
    /// none.
    pub(super) fn count_if(&self, field: &str, default: usize) -> Result<usize, FieldError> {
        match self.has(field) {
            true => self.count(field),
            false => Ok(default),
        }
    }

    /// How many layers there are.
    pub(super) fn layers(&self, field: &str, default: usize) -> Result<usize, FieldError> {
        match self.count_if(field, default)? {
            count if count <= MAX_LAYERS => Ok(count),
            _ => Err(self.unsupported(field, format!("at most {MAX_LAYERS}"))),
        }
    }

    pub(super) fn optional_number(&self, field: &str) -> Result<Option<f64>, FieldError> {
        self.number_in(field, "a number above zero", |value| value > 0.0)
    }

    pub(super) fn number(&self, field: &str) -> Result<f64, FieldError> {
        let number = self.optional_number(field)?;
        number.ok_or_else(|| self.wrong(field, "a number above zero"))
    }

    pub(super) fn number_or(&self, field: &str, default: f64) -> Result<f64, FieldError> {
        Ok(self.optional_number(field)?.unwrap_or(default))
    }

    /// A rate, at least 0.
    pub(super) fn rate_or(&self, field: &str, default: f64) -> Result<f64, FieldError> {
        let rate = self.number_in(field, "a number, at least 0", |value| value >= 0.0)?;
        Ok(rate.unwrap_or(default))
    }

    pub(super) fn numbers(&self, field: &str) -> Result<Vec<f64>, FieldError> {
        let numbers = |value: &Value| value.as_array()?.iter().map(Value::as_f64).collect();
        let numbers = self.read(field, "a list of numbers", numbers)?;
        numbers.ok_or_else(|| self.wrong(field, "a list of numbers"))
    }

    /// The kind of each layer; none where the file does not say it.
    pub(super) fn layer_types(&self, n_layers: usize) -> Result<Option<&[Value]>, FieldError> {
        let expected = "a list with an entry for each layer";
        self.read("layer_types", expected, |value| {
            let kinds = value.as_array().filter(|kinds| kinds.len() == n_layers);
            kinds.map(Vec::as_slice)
        })
    }

    /// Which layers of these kinds have a window.
    pub(super) fn windowed(&self, kinds: &[Value]) -> Result<Vec<bool>, FieldError> {
        let windowed = |kind: &Value| match kind.as_str() {
            Some("sliding_attention") => Ok(true),
            Some("full_attention") => Ok(false),
            _ => Err(self.unsupported("layer_types", "full_attention, sliding_attention")),
        };
        kinds.iter().map(windowed).collect()
    }

    /// Refuse a setting that changes the result unless it is 1.
    pub(super) fn must_be_one(&self, field: &str) -> Result<(), FieldError> {
        match self.get(field) {
            Value::Null => Ok(()),
            value if value.as_f64() == Some(1.0) => Ok(()),
            _ => Err(self.unsupported(field, "1")),
        }
    }

    /// Refuse settings that change the result unless they are absent, null or false.
    pub(super) fn must_be_off(&self, fields: &[&str]) -> Result<(), FieldError> {
        let on = |field: &&&str| !matches!(self.get(field), Value::Null | Value::Bool(false));
        match fields.iter().find(on) {
            Some(field) => Err(self.unsupported(field, "null")),
            None => Ok(()),
        }
    }
}
