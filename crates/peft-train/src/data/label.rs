//! [`Label`]: what a row says that its text is.

use std::fmt;

use serde_json::{Number, Value};

/// The label of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Label {
    /// One class, or the value of a regression.
    One(LabelName),
    /// All classes that apply, which may be none.
    Many(Vec<LabelName>),
}

impl Label {
    pub(super) fn parse(value: &Value) -> Result<Self, String> {
        match value {
            Value::Array(labels) => {
                let labels = labels.iter().map(LabelName::parse);
                Ok(Self::Many(labels.collect::<Result<_, _>>()?))
            }
            value => Ok(Self::One(LabelName::parse(value)?)),
        }
    }

    /// The classes that are named.
    pub fn names(&self) -> &[LabelName] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Many(names) => names,
        }
    }
}

/// A class as a row writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelName {
    /// By name.
    Name(String),
    /// By number.
    Number(Number),
}

impl LabelName {
    pub(super) fn parse(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(name) if !name.is_empty() => Ok(Self::Name(name.clone())),
            Value::Number(number) => Ok(Self::Number(number.clone())),
            Value::Bool(flag) => Ok(Self::Number(u8::from(*flag).into())),
            value => Err(format!("the label {value} is neither a name nor a number")),
        }
    }
}

impl fmt::Display for LabelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Number(number) => number.fmt(f),
        }
    }
}
