//! [`JinjaError`]: why a template cannot be compiled or rendered.

use crate::limits::{MAX_ITEMS, MAX_TEXT};

/// Why a template cannot be compiled or rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JinjaError {
    /// The source is no template.
    #[error("line {line}: {reason}")]
    Syntax {
        /// Line of the source, from one.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A statement or an expression failed.
    #[error("line {line}: {reason}")]
    Render {
        /// Line of the source, from one.
        line: usize,
        /// What failed.
        reason: String,
    },
    /// The template itself called `raise_exception`.
    #[error("{message}")]
    Raised {
        /// Line of the source, from one.
        line: usize,
        /// What the template says.
        message: String,
    },
    /// The template takes more than it may.
    #[error("line {line}: {limit}")]
    Limit {
        /// Line of the source, from one.
        line: usize,
        /// Which limit it is.
        limit: String,
    },
}

/// An error before its line is known.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    Failed(String),
    Raised(String),
    Limit(String),
}

pub(crate) type Res<T> = Result<T, Fault>;

impl Fault {
    pub(crate) fn text_limit() -> Self {
        Self::Limit(format!("a text of more than {MAX_TEXT} bytes"))
    }

    pub(crate) fn item_limit() -> Self {
        Self::Limit(format!("more than {MAX_ITEMS} items in one list"))
    }

    pub(crate) fn at(self, line: usize) -> JinjaError {
        match self {
            Self::Failed(reason) => JinjaError::Render { line, reason },
            Self::Raised(message) => JinjaError::Raised { line, message },
            Self::Limit(limit) => JinjaError::Limit { line, limit },
        }
    }
}

/// A failure with a formatted reason.
macro_rules! fail {
    ($($part:tt)*) => {
        Err($crate::error::Fault::Failed(format!($($part)*)))
    };
}
pub(crate) use fail;
