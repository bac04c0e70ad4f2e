//! [`AdapterFileError`]: what can be wrong with an adapter directory.

use std::fmt;
use std::path::PathBuf;

use peft_core::PeftError;
use peft_safetensors::ReadError;

/// An adapter directory that cannot be read, written or attached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterFileError {
    /// A file cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// `read`, `write` ...
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The directory holds no adapter.
    #[error(
        "{} is no adapter directory: it has no adapter_config.json of PEFT{found}", dir.display()
    )]
    NotAnAdapter {
        /// The directory.
        dir: PathBuf,
        /// What lies there, and what to do with it.
        found: String,
    },
    /// The tensors are not where they are read.
    #[error("{} has no adapter_model.safetensors: {advice}", dir.display())]
    OtherTensors {
        /// The directory.
        dir: PathBuf,
        /// What lies there, and what to do with it.
        advice: &'static str,
    },
    /// A rank is larger than any that the file has.
    #[error("{}: `{field}` asks for rank {rank}, and no tensor beside it has more than rank {largest}", path.display())]
    Rank {
        /// The config file.
        path: PathBuf,
        /// `r` or `rank_pattern`.
        field: &'static str,
        /// The rank.
        rank: usize,
        /// The largest rank of the tensors' file.
        largest: usize,
    },
    /// A JSON file does not parse.
    #[error("{} is not the JSON that it should be", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A field has a value of the wrong type.
    #[error("{}: `{field}` is {found}, expected {expected}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// The field.
        field: String,
        /// Its value.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A field asks for something that changes the result and is not supported.
    #[error("{}: `{field}` is {value}, which is not supported and would change the result; supported: {supported}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The field.
        field: String,
        /// Its value.
        value: String,
        /// What it may be.
        supported: String,
    },
    /// The tensors' file does not parse.
    #[error("{} is no sound safetensors file: {reason}", path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Tensors do not fit the adapted model; all of them are named.
    #[error("{} does not fit the model:{}", path.display(), lines(problems))]
    Tensors {
        /// The file.
        path: PathBuf,
        /// What is wrong, tensor by tensor.
        problems: Vec<TensorProblem>,
    },
    /// The file of an encoder gives other vectors than the file that PEFT reads: one of the two was
    /// replaced.
    #[error(
        "{} gives other vectors than {}; take the file away that is out of date",
        encoder.display(), vectors.display()
    )]
    EncoderDiffers {
        /// The encoder's file.
        encoder: PathBuf,
        /// The vectors' file.
        vectors: PathBuf,
    },
    /// The adapter cannot be attached to the model.
    #[error(transparent)]
    Attach(#[from] PeftError),
    /// Trained parameters were trained with another model than this.
    #[error(
        "{} was trained on `{name}`, whose other parameters have the checksum {expected}, but this model's have {found}", dir.display()
    )]
    OtherBase {
        /// The directory.
        dir: PathBuf,
        /// The base model as the directory names it.
        name: String,
        /// The checksum in the directory.
        expected: String,
        /// The checksum of this model.
        found: String,
    },
    /// What an adapter was trained for is nothing that the model is run for.
    #[error(
        "{} was trained for {task} (`task_type` in its adapter_config.json), which {} is not run for: decoders write text, and labels and embeddings are what encoders give, such as bert",
        dir.display(), model.display()
    )]
    OtherTask {
        /// The adapter's directory.
        dir: PathBuf,
        /// What it was trained for.
        task: &'static str,
        /// The model's directory.
        model: PathBuf,
    },
    /// PEFT would leave the adapter out.
    #[error(
        "{method} is put to use by what it is for, `task_type` in adapter_config.json, and that is not said: `About::with_task`"
    )]
    NoTask {
        /// The method.
        method: &'static str,
    },
    /// An adapter of the slot has no form in this file format.
    #[error(
        "adapter `{adapter}` on `{path}` is of method {method}, which this file format cannot hold"
    )]
    UnsupportedMethod {
        /// The adapter's name.
        adapter: String,
        /// The parameter.
        path: String,
        /// The method.
        method: String,
    },
}

impl From<ReadError> for AdapterFileError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io { path, source } => Self::Io {
                action: "read",
                path,
                source,
            },
            ReadError::Malformed { path, reason } => Self::Safetensors { path, reason },
            ReadError::NotFinite {
                path,
                key,
                count,
                total,
                dtype,
            } => Self::Safetensors {
                path,
                reason: format!(
                    "{count} of the {total} values of `{key}` are NaN or infinite in {dtype}"
                ),
            },
        }
    }
}

/// What is wrong with one tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TensorProblem {
    /// The model needs it, the file does not have it.
    Missing {
        /// Its key.
        key: String,
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
        /// The shape that the model needs.
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

impl fmt::Display for TensorProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { key } => write!(f, "missing `{key}`"),
            Self::Unexpected { key } => write!(f, "unexpected `{key}`"),
            Self::Shape {
                key,
                expected,
                found,
            } => write!(f, "`{key}` has shape {found:?}, expected {expected:?}"),
            Self::Dtype { key, found } => {
                write!(f, "`{key}` is {found}, expected F64, F32, F16 or BF16")
            }
            Self::NotFinite { key } => write!(f, "`{key}` has values that are not finite"),
            Self::Vocabulary { key, rows, found } => write!(
                f,
                "`{key}` is of {found} tokens, but the model has {rows}: the adapter was trained on a model whose vocabulary was resized, which is not done here; save the base resized by transformers (`resize_token_embeddings({found})`) and take that"
            ),
        }
    }
}

fn lines(problems: &[TensorProblem]) -> String {
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
