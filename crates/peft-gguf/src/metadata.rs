//! [`Metadata`]: what a file says beside its tensors.

use crate::{ALIGNMENT, ALIGNMENT_KEY, Value};

/// Values by key, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata(Vec<(String, Value)>);

impl Metadata {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let found = self.0.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value)
    }

    /// Put a value behind the others, or in the place of the one of that key.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        let (key, value) = (key.into(), value.into());
        match self.0.iter_mut().find(|(name, _)| *name == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key, value)),
        }
    }

    /// Keys and values in the order of the file.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// What tensors' places are multiples of; none where that is no power of two.
    pub(crate) fn alignment(&self) -> Option<u64> {
        match self.get(ALIGNMENT_KEY) {
            None => Some(ALIGNMENT),
            Some(Value::U32(alignment)) if alignment.is_power_of_two() => {
                Some(u64::from(*alignment))
            }
            Some(_) => None,
        }
    }

    /// A file's, whose keys are known to differ.
    pub(crate) fn of(entries: Vec<(String, Value)>) -> Self {
        Self(entries)
    }
}
