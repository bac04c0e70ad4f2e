//! The flags of `predict`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use peft_train::Pool;

use super::{ModelArgs, RowArgs, SamplingArgs};

#[derive(Args, Clone)]
pub(crate) struct PredictArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Adapter directory
    #[arg(long, value_name = "DIR")]
    pub(crate) adapter: Option<PathBuf>,
    /// Rows, with or without their answers: files or directories of JSONL, JSON lists, CSV, TSV or
    /// Parquet, also packed by gzip or zstd
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub(crate) data: Vec<PathBuf>,
    /// File of JSON lines to write, one a row; one that was not finished is gone on with
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) rows: RowArgs,
    /// Rows in a batch; answers do not depend on it
    #[arg(long, default_value_t = 8)]
    pub(crate) batch_size: usize,
    /// Tokens of a text beyond this are cut off, where it is told or embedded; the model's own
    /// limit if not given
    #[arg(long)]
    pub(crate) max_length: Option<usize>,
    /// A prompt that is a text is a user's turn in the model's chat template; it is continued as it
    /// is, as in training, if not given
    #[arg(long)]
    pub(crate) chat: bool,
    /// The vector of each text, by a decoder or an encoder
    #[arg(long)]
    pub(crate) embed: bool,
    /// What of a text's states its vector is; mean if not given
    #[arg(long, value_enum, requires = "embed")]
    pub(crate) pool: Option<PoolArg>,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
    /// The figures as one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// What of a text's states its vector is.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum PoolArg {
    /// Their mean
    Mean,
    /// That of the first token
    Cls,
    /// That of the last token
    Last,
}

impl PoolArg {
    /// How a vector is made.
    pub(crate) fn pool(given: Option<Self>) -> Pool {
        match given {
            Some(Self::Mean) | None => Pool::Mean,
            Some(Self::Cls) => Pool::First,
            Some(Self::Last) => Pool::Last,
        }
    }
}
