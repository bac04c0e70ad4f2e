//! [`TensorProblem`]: what can be wrong with a tensor of a file.

use std::fmt;

/// What is wrong with one tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TensorProblem {
    /// The model needs it, no file has it.
    Missing {
        /// Its key.
        key: String,
        /// The key in a checkpoint that is most like it, of those that the model has no place for.
        nearest: Option<String>,
    },
    /// The file has it, the model has no place for it.
    Unexpected {
        /// Its key.
        key: String,
    },
    /// It has another shape.
    Shape {
        /// Its key.
        key: String,
        /// The shape that the model needs, in torch's layout.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// Its element type is none of f64, f32, f16 and bf16.
    Dtype {
        /// Its key.
        key: String,
        /// The element type in the file.
        found: String,
    },
    /// It is no list of whole numbers from 0 on.
    NotIndices {
        /// Its key.
        key: String,
    },
    /// Two files have it.
    Twice {
        /// Its key.
        key: String,
    },
    /// It has values that are not finite.
    NotFinite {
        /// Its key.
        key: String,
    },
    /// It is an embedding or output layer of another number of tokens than the model's.
    Vocabulary {
        /// Its key.
        key: String,
        /// The tokens of the model.
        rows: usize,
        /// Those of the tensor.
        found: usize,
    },
}

impl TensorProblem {
    /// The model needs this tensor, and the file does not have it.
    pub(crate) fn missing(key: impl Into<String>) -> Self {
        Self::Missing {
            key: key.into(),
            nearest: None,
        }
    }
}

impl fmt::Display for TensorProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { key, nearest: None } => write!(f, "missing `{key}`"),
            Self::Missing {
                key,
                nearest: Some(nearest),
            } => write!(f, "missing `{key}`; there is `{nearest}`"),
            Self::Unexpected { key } => write!(f, "unexpected `{key}`"),
            Self::Shape {
                key,
                expected,
                found,
            } => write!(f, "`{key}` has shape {found:?}, expected {expected:?}"),
            Self::Dtype { key, found } => {
                write!(f, "`{key}` is {found}, expected F64, F32, F16 or BF16")
            }
            Self::NotIndices { key } => {
                write!(f, "`{key}` is no I32 or I64 of numbers from 0 on")
            }
            Self::Twice { key } => write!(f, "`{key}` is in two files"),
            Self::NotFinite { key } => write!(f, "`{key}` has values that are not finite"),
            Self::Vocabulary { key, rows, found } => write!(
                f,
                "`{key}` is of {found} tokens, but the model has {rows}: the adapter was trained on a model whose vocabulary was resized, which is not done here; save the base resized by transformers (`resize_token_embeddings({found})`) and take that"
            ),
        }
    }
}

/// The first problems, a line each.
pub(crate) fn lines(problems: &[TensorProblem]) -> String {
    const SHOWN: usize = 30;
    let mut text: String = problems
        .iter()
        .take(SHOWN)
        .map(|problem| format!("\n  {problem}"))
        .collect();
    if problems.len() > SHOWN {
        text.push_str(&format!("\n  and {} more", problems.len() - SHOWN));
    }
    text
}
