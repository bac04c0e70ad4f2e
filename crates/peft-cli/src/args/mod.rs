//! The command line.

mod adapters;
mod add_tokens;
mod chat;
mod combine;
mod data;
mod default_lr;
mod doctor;
#[cfg(test)]
mod documented;
mod export;
mod generate;
mod learning;
mod method;
mod method_values;
mod model;
mod numbers;
mod plan;
mod predict;
mod report;
mod rows;
mod sampling;
mod sweep;
mod train;
mod worker;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

pub(crate) use self::adapters::AdaptersArgs;
pub(crate) use self::add_tokens::AddTokensArgs;
pub(crate) use self::chat::ChatArgs;
pub(crate) use self::combine::{CombineArgs, HowArg, MajorityArg};
pub(crate) use self::data::{CheckArgs, DataArgs, DataVerb};
pub(crate) use self::doctor::DoctorArgs;
pub(crate) use self::export::{ExportArgs, ExportFormat, ExtractArgs, QuantiseArg, SpectrumArgs};
pub(crate) use self::generate::GenerateArgs;
pub(crate) use self::learning::{LearningArgs, OptimizerArg};
pub(crate) use self::method::{EncoderArg, FromArg, InitArg, Method, MethodArgs, VariantArg};
pub(crate) use self::model::{HoldArg, ModelArgs};
pub(crate) use self::plan::PlanArgs;
pub(crate) use self::predict::{PoolArg, PredictArgs};
pub(crate) use self::report::ReportArgs;
pub(crate) use self::rows::RowArgs;
pub(crate) use self::sampling::SamplingArgs;
pub(crate) use self::sweep::Sweep;
pub(crate) use self::train::{ScheduleArg, TrainArgs};
pub(crate) use self::worker::WorkerArgs;

/// Fine-tune, evaluate, merge and run Hugging Face checkpoints.
#[derive(Parser)]
#[command(
    name = "peft",
    version,
    after_help = "Without arguments: fine-tunes, evaluates and merges a small model that comes with the command, in two minutes."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
}

impl Cli {
    /// All verbs and flags.
    pub(crate) fn line() -> Command {
        let numeric = |verb: Command| verb.mut_args(numbers::numeric);
        Self::command().mut_subcommands(|verb| numeric(verb).mut_subcommands(numeric))
    }

    /// What a command line says.
    pub(crate) fn read<W: Into<OsString> + Clone>(
        words: impl IntoIterator<Item = W>,
    ) -> Result<Self, clap::Error> {
        let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
        let read = Self::line().try_get_matches_from(&words);
        let mut matches = read.map_err(|error| match error.kind() {
            ErrorKind::UnknownArgument => numbers::forgotten(&words).unwrap_or(error),
            _ => error,
        })?;
        let found = Self::from_arg_matches_mut(&mut matches);
        found.map_err(|error| error.format(&mut Self::line()))
    }
}

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Fine-tune a model on rows of a file
    Train(Box<TrainArgs>),
    /// Loss and accuracy of a model, with or without an adapter, on rows of a file
    Eval(EvalArgs),
    /// Continue a prompt; the label of a text by a classifier, its embedding by a bare encoder
    Generate(GenerateArgs),
    /// Talk with a model, with or without an adapter, by its chat template
    Chat(ChatArgs),
    /// Answers, labels, tags or vectors for the rows of files, and how good they are
    Predict(PredictArgs),
    /// Fold an adapter into its model and write a checkpoint directory
    Merge(MergeArgs),
    /// Write a model with or without an adapter, or an adapter alone, in the format of another
    /// runtime
    Export(ExportArgs),
    /// Make an adapter of what a model differs by from its base
    Extract(ExtractArgs),
    /// Give a model a larger vocabulary
    AddTokens(AddTokensArgs),
    /// Make one adapter of several
    Combine(CombineArgs),
    /// The singular values of a model's weights, or of what an adapter or tuning adds to them
    Spectrum(SpectrumArgs),
    /// What a model or an adapter directory holds
    Inspect(InspectArgs),
    /// What is in files of rows
    Data(DataArgs),
    /// What a step of training costs, part by part, before anything runs
    Plan(Box<PlanArgs>),
    /// What this build and this machine have, and whether each device computes a LoRA step right
    Doctor(DoctorArgs),
    /// One page of the curves and settings of runs, side by side
    Report(ReportArgs),
    /// Lend this machine's devices to `train`, `eval` and `generate` on others
    Worker(WorkerArgs),
}

impl Verb {
    /// How many threads are asked for.
    pub(crate) fn threads(&self) -> Option<usize> {
        match self {
            Self::Train(args) => args.model.threads,
            Self::Eval(args) => args.model.threads,
            Self::Generate(args) => args.model.threads,
            Self::Chat(args) => args.model.threads,
            Self::Predict(args) => args.model.threads,
            Self::Plan(args) => args.model.threads,
            Self::Merge(_)
            | Self::Export(_)
            | Self::Extract(_)
            | Self::AddTokens(_)
            | Self::Combine(_)
            | Self::Spectrum(_)
            | Self::Inspect(_)
            | Self::Data(_)
            | Self::Doctor(_)
            | Self::Report(_)
            | Self::Worker(_) => None,
        }
    }
}

#[derive(Args, Clone)]
pub(crate) struct EvalArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) adapters: AdaptersArgs,
    /// Rows: files or directories of JSONL, JSON lists, CSV, TSV or Parquet, also packed
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub(crate) data: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) rows: RowArgs,
    /// Rows in a batch
    #[arg(long, default_value_t = 16)]
    pub(crate) batch_size: usize,
    /// Tokens of a row beyond this are cut off; the model's own limit if not given
    #[arg(long)]
    pub(crate) max_length: Option<usize>,
    /// Completions do not end with the end-of-sequence token
    #[arg(long)]
    pub(crate) no_eos: bool,
    /// Also choose each row's completion among all that the file has, and count how often that is
    /// right
    #[arg(long)]
    pub(crate) choices: bool,
    /// One JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct MergeArgs {
    /// Checkpoint directory: config.json, model.safetensors, tokenizer.json
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Adapter directory
    #[arg(long, value_name = "DIR")]
    pub(crate) adapter: PathBuf,
    /// Directory to write; it must not exist
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// flex, ndarray, cuda or cuda:N, as far as built in
    #[arg(long, default_value = "flex")]
    pub(crate) device: String,
    /// Load the model even if the machine's memory does not seem to hold it
    #[arg(long)]
    pub(crate) any_size: bool,
    /// Merge into what the model's linear layers are when they are held so, as they were when the
    /// adapter was trained; into the weights of the file if not given
    #[arg(long, value_enum)]
    pub(crate) quantise: Option<HoldArg>,
    /// What the merged weights are stored as: f32, bf16 or f16; as the model has each of its own if
    /// not given
    #[arg(long)]
    pub(crate) dtype: Option<String>,
    /// Rows whose texts the merged and the unmerged model are compared on, JSONL; a fixed text if
    /// not given
    #[arg(long, value_name = "FILE")]
    pub(crate) probe: Option<PathBuf>,
    /// Keep a merged model that computes something else than the unmerged one, having looked at it
    #[arg(long)]
    pub(crate) accept_difference: bool,
}

#[derive(Args)]
pub(crate) struct InspectArgs {
    /// A model or an adapter directory
    pub(crate) path: PathBuf,
    /// One JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}
