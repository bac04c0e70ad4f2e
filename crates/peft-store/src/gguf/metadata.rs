//! [`Keys`]: a file's metadata by an architecture's keys, each of the type that it must be.

use std::path::{Path, PathBuf};

use peft_gguf::{Array, Metadata, Value};

use crate::CheckpointError;

/// The metadata of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys<'a> {
    pub(super) path: &'a Path,
    pub(super) metadata: &'a Metadata,
    /// What the keys of the model begin with.
    pub(super) architecture: &'a str,
}

impl<'a> Keys<'a> {
    /// Those of a file, which must name its architecture.
    pub(super) fn of(path: &'a Path, metadata: &'a Metadata) -> Result<Self, CheckpointError> {
        const KEY: &str = "general.architecture";
        let found = metadata.get(KEY).and_then(Value::as_str);
        let architecture = found.ok_or_else(|| CheckpointError::Metadata {
            path: path.into(),
            key: KEY.into(),
            found: "missing or no text".into(),
            expected: "the name of an architecture".into(),
        })?;
        Ok(Self {
            path,
            metadata,
            architecture,
        })
    }

    /// That the file is a model, and not a part of one or an adapter.
    pub(super) fn check_whole(&self) -> Result<(), CheckpointError> {
        const KIND: &str = "general.type";
        const PARTS: &str = "split.count";
        if let Some(kind) = self.text(KIND)?.filter(|kind| *kind != "model") {
            return Err(self.wrong(KIND, kind, "model"));
        }
        match self.metadata.get(PARTS).and_then(Value::as_u64) {
            Some(parts) if parts > 1 => {
                let expected = "one file, which `llama-gguf-split --merge` makes";
                Err(self.wrong(PARTS, parts.to_string(), expected))
            }
            _ => Ok(()),
        }
    }

    /// An error about a key.
    pub(super) fn wrong(
        &self,
        key: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> CheckpointError {
        CheckpointError::Metadata {
            path: PathBuf::from(self.path),
            key: key.into(),
            found: found.into(),
            expected: expected.into(),
        }
    }

    fn own(&self, key: &str) -> (String, Option<&'a Value>) {
        let key = format!("{}.{key}", self.architecture);
        let value = self.metadata.get(&key);
        (key, value)
    }

    /// A count of the model.
    pub(super) fn count(&self, key: &str) -> Result<u64, CheckpointError> {
        let found = self.optional_count(key)?;
        found.ok_or_else(|| self.wrong(self.own(key).0, "missing", "a number"))
    }

    /// A count of the model, if it is there.
    pub(super) fn optional_count(&self, key: &str) -> Result<Option<u64>, CheckpointError> {
        match self.own(key) {
            (_, None) => Ok(None),
            (key, Some(value)) => match value.as_u64() {
                Some(count) => Ok(Some(count)),
                None => Err(self.wrong(key, value.kind(), "one whole number for all layers")),
            },
        }
    }

    /// A number of the model, if it is there: the shortest that is the same in 32 bits.
    pub(super) fn optional_number(&self, key: &str) -> Result<Option<f64>, CheckpointError> {
        match self.own(key) {
            (_, None) => Ok(None),
            (_, Some(Value::F32(number))) if number.is_finite() => Ok(Some(
                number.to_string().parse().unwrap_or(f64::from(*number)),
            )),
            (_, Some(Value::F64(number))) if number.is_finite() => Ok(Some(*number)),
            (key, Some(value)) => Err(self.wrong(key, value.kind(), "a finite number")),
        }
    }

    /// A text of the model, if it is there.
    pub(super) fn optional_text(&self, key: &str) -> Result<Option<&'a str>, CheckpointError> {
        match self.own(key) {
            (_, None) => Ok(None),
            (key, Some(value)) => match value.as_str() {
                Some(text) => Ok(Some(text)),
                None => Err(self.wrong(key, value.kind(), "a text")),
            },
        }
    }

    /// A text by its whole key, if it is there.
    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>, CheckpointError> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(value) => Err(self.wrong(key, value.kind(), "a text")),
        }
    }

    /// A flag by its whole key, if it is there.
    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, CheckpointError> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(value) => Err(self.wrong(key, value.kind(), "a bool")),
        }
    }

    /// Texts by their whole key, if they are there.
    pub(super) fn texts(&self, key: &str) -> Result<Option<&'a [String]>, CheckpointError> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::Array(Array::String(texts))) => Ok(Some(texts)),
            Some(value) => Err(self.wrong(key, value.kind(), "an array of texts")),
        }
    }
}
