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

    /// Whether it is a list with a number that is written with a decimal point.
    pub fn has_decimals(&self) -> bool {
        let decimal = |name: &LabelName| matches!(name, LabelName::Number(n) if n.is_f64());
        matches!(self, Self::Many(names) if names.iter().any(decimal))
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

    /// The whole number that it is, if it is one: `2.0` is 2, as programs write that keep all numbers as decimals.
    pub fn whole(&self) -> Option<i64> {
        // Beyond it, a decimal does not tell one whole number from the next.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        let Self::Number(number) = self else {
            return None;
        };
        let decimal = || {
            number
                .as_f64()
                .filter(|x| x.fract() == 0.0 && x.abs() <= EXACT)
        };
        number.as_i64().or_else(|| decimal().map(|x| x as i64))
    }

    /// Whether it is -100, by which the field marks what is no target.
    pub fn is_no_target(&self) -> bool {
        self.whole() == Some(-100)
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
