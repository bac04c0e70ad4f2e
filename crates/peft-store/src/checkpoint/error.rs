//! [`CheckpointError`]: what can be wrong with a checkpoint directory.

use std::fmt;
use std::path::PathBuf;

use burn::tensor::DType;
use peft_safetensors::ReadError;

use crate::MemoryError;

/// A checkpoint that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
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
    /// The directory holds no checkpoint.
    #[error(
        "{} is no model directory: it has no config.json{}", dir.display(),
        match (is_adapter, snapshot) {
            (true, _) => "; it is an adapter (adapter_config.json), to be given as the adapter".to_owned(),
            (false, Some(snapshot)) => format!("; it is of a hub's cache, with a model in {}", snapshot.display()),
            (false, None) if !dir.exists() => "; it does not exist".to_owned(),
            (false, None) => String::new(),
        }
    )]
    NotACheckpoint {
        /// The directory.
        dir: PathBuf,
        /// Whether it looks like an adapter.
        is_adapter: bool,
        /// A model that lies in it as a hub's cache keeps one.
        snapshot: Option<PathBuf>,
    },
    /// The directory has no weights.
    #[error(
        "{} has no weights: neither model.safetensors nor model.safetensors.index.json{}", dir.display(),
        if *has_pickle { "; convert pytorch_model.bin to safetensors first" } else { "" }
    )]
    NoWeights {
        /// The directory.
        dir: PathBuf,
        /// Whether weights are there in a format that is not read.
        has_pickle: bool,
    },
    /// A JSON file does not parse.
    #[error("{} is not the JSON that it should be", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A field of a config is missing or of the wrong type.
    #[error("config.json: `{field}` is {found}, expected {expected}")]
    Field {
        /// The field.
        field: String,
        /// Its value, or `missing`.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A field asks for something that is not supported.
    #[error("config.json: `{field}` is {value}, which is not supported; supported: {supported}")]
    Unsupported {
        /// The field.
        field: String,
        /// Its value.
        value: String,
        /// What it may be.
        supported: String,
    },
    /// A model of another kind than the task takes.
    #[error("{} is a {family}, but this takes {expected}", dir.display())]
    WrongKind {
        /// The directory.
        dir: PathBuf,
        /// The model's family.
        family: String,
        /// What is taken.
        expected: &'static str,
    },
    /// A decoder that tells labels, answers' places or rewards, and not the next token.
    #[error(
        "{} is a decoder with a head (`{key}`) in place of its output layer, which is not run; decoders that write text are, and classifiers on encoders, such as bert",
        dir.display()
    )]
    DecoderHead {
        /// The directory.
        dir: PathBuf,
        /// A tensor of the head.
        key: String,
    },
    /// A config that is to be written as a Llama's has what Llama does not have.
    #[error("the model has what no Llama has, so its config.json cannot be a Llama's")]
    NotLlama,
    /// A size or setting that makes no model.
    #[error("config.json: `{field}` is {value}, but must be {expected}")]
    Config {
        /// The field, as the file calls it.
        field: String,
        /// What it comes to.
        value: f64,
        /// What it must be.
        expected: String,
    },
    /// The machine's memory does not hold the model.
    #[error("cannot load {}: {source}; --any-size of the command, or `with_any_size`, loads it all the same", dir.display())]
    Memory {
        /// The directory.
        dir: PathBuf,
        /// What it takes, and what there is.
        source: MemoryError,
    },
    /// Weights that are no finite numbers, or are none in the precision that the model runs in.
    #[error(
        "{}: {count} of the {total} values of `{key}` {} NaN or infinite in {dtype}{}", path.display(),
        if *count == 1 { "is" } else { "are" },
        if *dtype == "F16" { "; bf16 and f32 hold larger ones" } else { "" }
    )]
    NonFiniteWeights {
        /// The file.
        path: PathBuf,
        /// The tensor.
        key: String,
        /// How many there are.
        count: usize,
        /// Of how many.
        total: usize,
        /// The precision.
        dtype: &'static str,
    },
    /// A safetensors file is not sound.
    #[error("{} is no sound safetensors file: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A GGUF file is not sound, or has a type of tensor that is not read.
    #[error(transparent)]
    Gguf(peft_gguf::ReadError),
    /// A key of a GGUF file's metadata, or a tensor, is missing or not as it must be.
    #[error("{}: `{key}` is {found}, expected {expected}", path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// The key, or the name of the tensor.
        key: String,
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// The metadata of a GGUF file makes no model.
    #[error("{}, by the config.json that its metadata stands for: {source}", path.display())]
    OfMetadata {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<CheckpointError>,
    },
    /// Something that a GGUF file, or llama.cpp, has no words for.
    #[error("it cannot be written as GGUF: {what}")]
    NotGguf {
        /// What it is.
        what: String,
    },
    /// A directory with several GGUF files, none of which is known to be meant.
    #[error(
        "{} has several GGUF files; give one of them: {}", dir.display(),
        files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    SeveralGguf {
        /// The directory.
        dir: PathBuf,
        /// The files.
        files: Vec<PathBuf>,
    },
    /// A value that is not finite in what it is to be stored as.
    #[error(
        "`{key}` has a value that is not finite in {dtype:?}{}",
        if *dtype == DType::F16 { "; bf16 and f32 hold larger ones" } else { "" }
    )]
    NotFinite {
        /// The path of the parameter.
        key: String,
        /// What it is to be stored as.
        dtype: DType,
    },
    /// The tensors do not fit the config; all of them are named.
    #[error("the weights in {} do not fit config.json:{}", dir.display(), lines(problems))]
    Tensors {
        /// The directory.
        dir: PathBuf,
        /// What is wrong, tensor by tensor.
        problems: Vec<CheckpointProblem>,
    },
}

impl From<ReadError> for CheckpointError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io { path, source } => Self::Io {
                action: "read",
                path,
                source,
            },
            ReadError::Malformed { path, reason } => Self::Malformed { path, reason },
            ReadError::NotFinite {
                path,
                key,
                count,
                total,
                dtype,
            } => Self::NonFiniteWeights {
                path,
                key,
                count,
                total,
                dtype,
            },
        }
    }
}

impl From<peft_gguf::ReadError> for CheckpointError {
    fn from(error: peft_gguf::ReadError) -> Self {
        match error {
            peft_gguf::ReadError::Io { path, source } => Self::Io {
                action: "read",
                path,
                source,
            },
            other => Self::Gguf(other),
        }
    }
}

/// What is wrong with one tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckpointProblem {
    /// The config needs it, no file has it.
    Missing {
        /// Its key.
        key: String,
        /// The key in the file that is most like it, of those that the model has no place for.
        nearest: Option<String>,
    },
    /// A file has it, the model has no place for it.
    Unexpected {
        /// Its key.
        key: String,
    },
    /// It has another shape.
    Shape {
        /// Its key.
        key: String,
        /// The shape that the config gives, in torch's layout.
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
    /// Two files have it.
    Twice {
        /// Its key.
        key: String,
    },
}

impl fmt::Display for CheckpointProblem {
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
            Self::Twice { key } => write!(f, "`{key}` is in two files"),
        }
    }
}

fn lines(problems: &[CheckpointProblem]) -> String {
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
