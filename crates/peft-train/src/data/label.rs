//! [`Label`]: what a row says that its text is.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

/// The label of a text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

    /// Whether it is a list that names no class but says of each whether it applies: one with true,
    /// false or a number that is written with a decimal point.
    pub fn says_each(&self) -> bool {
        let each = |name: &LabelName| match name {
            LabelName::Name(_) => false,
            LabelName::Number(number) => number.is_f64(),
            LabelName::Bool(_) => true,
        };
        matches!(self, Self::Many(names) if names.iter().any(each))
    }

    /// What it says of each class, where it is a list of 0 and 1, or of true and false.
    pub fn each(&self) -> Option<Vec<bool>> {
        let Self::Many(names) = self else {
            return None;
        };
        let on = |name: &LabelName| match (name, name.whole()) {
            (LabelName::Bool(on), _) => Some(*on),
            (_, Some(on @ (0 | 1))) => Some(on == 1),
            _ => None,
        };
        names.iter().map(on).collect()
    }
}

/// A class as a row writes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LabelName {
    /// By name.
    Name(String),
    /// By number.
    Number(Number),
    /// True or false.
    Bool(bool),
}

impl LabelName {
    pub(super) fn parse(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(name) if !name.is_empty() => Ok(Self::Name(name.clone())),
            Value::Number(number) => Ok(Self::Number(number.clone())),
            Value::Bool(flag) => Ok(Self::Bool(*flag)),
            value => Err(format!("the label {value} is neither a name nor a number")),
        }
    }

    /// The whole number that it is, if it is one: `2.0` is 2, as programs write that keep all
    /// numbers as decimals.
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
            Self::Bool(flag) => flag.fmt(f),
        }
    }
}
