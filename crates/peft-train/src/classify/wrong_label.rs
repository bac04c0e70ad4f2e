//! [`WrongLabel`]: why a row's label is no target.

use std::fmt;

use super::UnknownLabel;

/// How many wrong rows are told of; of the others only their number is.
pub(super) const TOLD: usize = 20;

/// Why a row's label is no target.
pub(super) enum WrongLabel<'a> {
    /// The set does not have it.
    Unknown(UnknownLabel<'a>),
    /// It is of another kind.
    Kind(String),
}

impl fmt::Display for WrongLabel<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(unknown) => unknown.fmt(f),
            Self::Kind(reason) => f.write_str(reason),
        }
    }
}

impl From<String> for WrongLabel<'_> {
    fn from(reason: String) -> Self {
        Self::Kind(reason)
    }
}

impl From<&str> for WrongLabel<'_> {
    fn from(reason: &str) -> Self {
        Self::Kind(reason.into())
    }
}

/// Note what is wrong with a row: the first ones with a reason, which costs a look at all labels.
pub(super) fn note(wrong: &mut Vec<(usize, String)>, row: usize, reason: impl fmt::Display) {
    let reason = match wrong.len() < TOLD {
        true => reason.to_string(),
        false => String::new(),
    };
    wrong.push((row, reason));
}
