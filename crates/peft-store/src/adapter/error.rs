//! [`AdapterFileError`]: what can be wrong with an adapter directory.

use std::path::PathBuf;

use peft_core::PeftError;
use peft_safetensors::ReadError;

use crate::TensorProblem;
use crate::fields::{FieldError, FieldFault};
use crate::tensor_problem::lines;

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
    /// The directory holds something else than plain LoRA.
    #[error("{} has {found}, and two factors a layer are what is asked for", dir.display())]
    NotLora {
        /// The directory.
        dir: PathBuf,
        /// What it has.
        found: String,
    },
    /// Two directories hold other values of one weight of the base.
    #[error("{} has other values than another adapter in `{key}`, a weight of the base: they are of different bases", dir.display())]
    UnlikeBases {
        /// One of the directories.
        dir: PathBuf,
        /// The tensor's key.
        key: String,
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
        expected: String,
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
        "{method} is put to use by what it is for, `task_type` in adapter_config.json, and that is not said: `AdapterInfo::with_task`"
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

impl From<FieldError> for AdapterFileError {
    fn from(error: FieldError) -> Self {
        let FieldError {
            path,
            field,
            found,
            fault,
        } = error;
        match fault {
            FieldFault::Wrong { expected } => Self::Field {
                path,
                field,
                found,
                expected,
            },
            FieldFault::Unsupported { supported } => Self::Unsupported {
                path,
                field,
                value: found,
                supported,
            },
        }
    }
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
