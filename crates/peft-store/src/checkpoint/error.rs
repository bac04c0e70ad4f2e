//! [`CheckpointError`]: what can be wrong with a checkpoint directory.

use std::path::{Component, Path, PathBuf};

use burn::tensor::DType;
use peft_core::PeftError;
use peft_kernels::PackedError;
use peft_safetensors::ReadError;

use crate::fields::{FieldError, FieldFault};
use crate::tensor_problem::lines;
use crate::{MemoryError, TensorProblem};

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
            _ if dir.is_file() => "; it is a file, and its name does not end in .gguf".to_owned(),
            (true, _) => "; it is an adapter (adapter_config.json), to be given as the adapter".to_owned(),
            (false, Some(snapshot)) => format!("; it is of a hub's cache, with a model in {}", snapshot.display()),
            (false, None) if !dir.exists() => format!("; it does not exist{}", on_hub(dir)),
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
    /// A checkpoint that something else than bitsandbytes has quantised.
    #[error(
        "config.json: `quantization_config` is of {method}, which is not read; bitsandbytes' is. Take the model's unquantised files and quantise them as they are read (--quantise nf4), or a GGUF file of it"
    )]
    QuantisedBy {
        /// Its `quant_method`.
        method: String,
    },
    /// A weight that bitsandbytes has quantised cannot be read.
    #[error("{}: `{key}`, which bitsandbytes has quantised: {reason}", dir.display())]
    Bitsandbytes {
        /// The directory.
        dir: PathBuf,
        /// The weight.
        key: String,
        /// Why.
        reason: String,
    },
    /// Linear layers are to be held packed where they cannot be.
    #[error("the model cannot be quantised: {source}")]
    Quantise {
        /// Why.
        source: PackedError,
    },
    /// Its blocks do not go on these devices.
    #[error("{}: {source}", dir.display())]
    Devices {
        /// The directory.
        dir: PathBuf,
        /// Why.
        source: PeftError,
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
        expected: String,
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
        problems: Vec<TensorProblem>,
    },
}

impl From<FieldError> for CheckpointError {
    fn from(error: FieldError) -> Self {
        let FieldError {
            path: _,
            field,
            found,
            fault,
        } = error;
        match fault {
            FieldFault::Wrong { expected } => Self::Field {
                field,
                found,
                expected,
            },
            FieldFault::Unsupported { supported } => Self::Unsupported {
                field,
                value: found,
                supported,
            },
        }
    }
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

/// What to do where a path is as models are called on Hugging Face's hub.
fn on_hub(dir: &Path) -> String {
    let parts: Vec<Component<'_>> = dir.components().collect();
    let is_name = |part: &Component<'_>| matches!(part, Component::Normal(_));
    match parts.len() == 2 && parts.iter().all(is_name) {
        true => format!(
            ". Nothing is downloaded here: a model of the hub is fetched by `hf download {} --local-dir DIR`, and --model names DIR",
            dir.display()
        ),
        false => String::new(),
    }
}
