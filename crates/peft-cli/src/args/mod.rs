//! The command line.

mod adapters;
mod add_tokens;
mod chat;
mod combine;
mod data;
mod default_lr;
mod doctor;
mod export;
mod generate;
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

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use serde::Serialize;

use crate::error::CliError;

pub(crate) use self::adapters::AdaptersArgs;
pub(crate) use self::add_tokens::AddTokensArgs;
pub(crate) use self::chat::ChatArgs;
pub(crate) use self::combine::{CombineArgs, HowArg, MajorityArg};
pub(crate) use self::data::{CheckArgs, DataArgs, DataVerb};
pub(crate) use self::doctor::DoctorArgs;
pub(crate) use self::export::{ExportArgs, ExportFormat, ExtractArgs, QuantiseArg, SpectrumArgs};
pub(crate) use self::generate::GenerateArgs;
pub(crate) use self::method::{EncoderArg, FromArg, InitArg, Method, MethodArgs, VariantArg};
pub(crate) use self::model::{HoldArg, ModelArgs};
pub(crate) use self::plan::PlanArgs;
pub(crate) use self::predict::{PoolArg, PredictArgs};
pub(crate) use self::report::ReportArgs;
pub(crate) use self::rows::RowArgs;
pub(crate) use self::sampling::SamplingArgs;
pub(crate) use self::sweep::Sweep;

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
        Self::command().mut_subcommands(|verb| verb.mut_args(numbers::numeric))
    }

    /// What a command line says.
    pub(crate) fn read<W: Into<OsString> + Clone>(
        words: impl IntoIterator<Item = W>,
    ) -> Result<Self, clap::Error> {
        let mut matches = Self::line().try_get_matches_from(words)?;
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
            | Self::Report(_) => None,
        }
    }
}

#[derive(Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ScheduleArg {
    Constant,
    Linear,
    Cosine,
}

#[derive(Args, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct TrainArgs {
    /// A TOML file of these flags; those given here win over it
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) model: ModelArgs,
    /// Training rows: files or directories of JSONL, JSON lists, CSV, TSV or Parquet, also packed
    /// by gzip or zstd
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub(crate) train: Vec<PathBuf>,
    /// Validation rows, as those of training
    #[arg(long, visible_alias = "validation", value_name = "FILE", num_args = 1..)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) valid: Vec<PathBuf>,
    /// Take about this fraction of the training rows for validation instead of training on them
    #[arg(long, value_name = "FRACTION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) split: Option<f64>,
    /// Decides which rows --split takes, whatever --seed is
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub(crate) shuffle_seed: u64,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) rows: RowArgs,
    /// What to train; lora if not given
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) method: Option<Method>,
    /// Begin with what another run trained, as its directory holds it: method and settings are its
    /// own
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) init_adapter: Option<PathBuf>,
    /// Directory of the run: the adapter, or the model for --method full
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Times through the rows
    #[arg(long, default_value_t = 3)]
    pub(crate) epochs: usize,
    /// Steps, whatever the epochs
    #[arg(long)]
    pub(crate) max_steps: Option<usize>,
    /// Rows in a batch
    #[arg(long, default_value_t = 8)]
    pub(crate) batch_size: usize,
    /// Batches in a step
    #[arg(long, default_value_t = 1)]
    pub(crate) grad_accum: usize,
    /// Threads that share the rows of a batch; one a core if not given, on a device of cores and
    /// without dropout
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) workers: Option<usize>,
    /// Keep only what each block reads and run it again for its gradients: less memory, more
    /// time; --workers has no effect then
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) recompute: bool,
    /// Peak learning rate; the method's own default if not given
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lr: Option<f64>,
    /// Where the learning rate comes from, as it is shown
    #[arg(skip)]
    #[serde(skip)]
    pub(crate) lr_origin: String,
    /// How the learning rate falls
    #[arg(long, value_enum, default_value = "linear")]
    pub(crate) schedule: ScheduleArg,
    /// Warm-up: a fraction below 1, or a number of steps
    #[arg(long, default_value_t = 0.03)]
    pub(crate) warmup: f64,
    /// AdamW's weight decay
    #[arg(long, default_value_t = 0.0)]
    pub(crate) weight_decay: f64,
    /// Largest norm of all gradients together
    #[arg(long, default_value_t = 1.0)]
    pub(crate) max_grad_norm: f64,
    /// Tokens of a row beyond this are cut off
    #[arg(long, default_value_t = 512)]
    pub(crate) max_length: usize,
    /// Put several rows together into one of at most --max-length tokens before training;
    /// --batch-size counts these then. They do not see each other
    #[arg(long)]
    pub(crate) pack: bool,
    /// Pad the rows of a batch to the longest; without it short ones are put behind each other,
    /// with the same losses, except under virtual tokens, --cache-trunk and learned positions
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) pad: bool,
    /// Evaluate every so many steps; at the end of each epoch if not given, and before training in
    /// any case
    #[arg(long)]
    pub(crate) eval_every: Option<usize>,
    /// End when so many evaluations in a row were no better than the best before them
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) patience: Option<usize>,
    /// Try several values of a flag, as in lr=1e-4,3e-4,1e-3: a run for each in a directory of its
    /// own in --out, and which had the lowest validation loss
    #[arg(long, value_name = "FLAG=VALUES", conflicts_with = "resume")]
    #[serde(skip)]
    pub(crate) sweep: Option<Sweep>,
    /// Keep a state to resume from every so many steps; at the end of each epoch if not given, and
    /// every three minutes in any case
    #[arg(long)]
    pub(crate) save_every: Option<usize>,
    /// What an adapter's config calls its base; --model as it is given if not given
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) base_name: Option<String>,
    /// Go on with the run in --out, by its settings; a finished one with larger --epochs or
    /// --max-steps
    #[arg(long)]
    #[serde(skip)]
    pub(crate) resume: bool,
    /// Do not end completions with the end-of-sequence token
    #[arg(long)]
    pub(crate) no_eos: bool,
    /// Put a fresh head for the labels of the rows in place of the one that the model has
    #[arg(long)]
    pub(crate) new_head: bool,
    /// Decides fresh weights, order of rows and dropout
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) of_method: MethodArgs,
}

impl TrainArgs {
    /// Put in the defaults that depend on the method, so that a run keeps them.
    pub(crate) fn complete(&mut self) {
        let method = self.method();
        self.method = Some(method);
        if self.lr.is_none() {
            self.lr = Some(self.default_lr());
            self.lr_origin = format!(" ({method}'s default)");
        }
        self.base_name = Some(self.base_name());
        if self.init_adapter.is_none() {
            self.of_method.complete(method);
        }
    }

    /// Whether there are rows for validation.
    pub(crate) fn has_validation(&self) -> bool {
        !self.valid.is_empty() || self.split.is_some()
    }

    /// What trains.
    pub(crate) fn method(&self) -> Method {
        self.method.unwrap_or(Method::Lora)
    }

    /// An error where what would train is asked for in few bits.
    pub(crate) fn check_held(&self) -> Result<(), CliError> {
        let method = self.method();
        match self.model.quantise {
            Some(held @ (HoldArg::Nf4 | HoldArg::Q8)) if method.trains_linear_layers() => {
                Err(CliError::Usage(format!(
                    "--quantise {} holds linear layers in few bits, and --method {method} trains them: leave --quantise out, or train an adapter (--method lora)",
                    held.name()
                )))
            }
            _ => Ok(()),
        }
    }

    /// The peak learning rate.
    pub(crate) fn peak(&self) -> f64 {
        self.lr.unwrap_or_else(|| self.default_lr())
    }

    /// What an adapter's config calls its base.
    pub(crate) fn base_name(&self) -> String {
        let given = || self.model.model.display().to_string();
        self.base_name.clone().unwrap_or_else(given)
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
