//! The flags of `train`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use peft_store::Quantise;
use serde::Serialize;

use super::{HoldArg, LearningArgs, Method, MethodArgs, ModelArgs, OptimizerArg, RowArgs, Sweep};
use crate::error::CliError;

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
    /// by gzip or zstd; what is more than 64 MiB is kept in temporary files, where TMPDIR says
    #[arg(long, value_name = "FILE", num_args = 1.., required_unless_present = "runs")]
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
    /// Threads that share the rows of a batch, on each device; one a core if not given, on one
    /// device of cores and without dropout
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) workers: Option<usize>,
    /// Keep only what each block reads and run it again for its gradients: less memory, more
    /// time; each device has one worker then
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
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) learning: LearningArgs,
    /// Decoupled weight decay
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
    /// The runs of --sweep at once: step by step, on one base, each as it is alone
    #[arg(long, requires = "sweep")]
    #[serde(skip)]
    pub(crate) at_once: bool,
    /// Files of settings, as --config takes, of runs at once on --model: each has the flags of
    /// this command but for what its file says, and is in a directory of its own in --out
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["resume", "sweep"])]
    #[serde(skip)]
    pub(crate) runs: Vec<PathBuf>,
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
            self.lr_origin = match self.learning.optimizer {
                OptimizerArg::Lion => format!(" (a fifth of {method}'s default, for lion)"),
                _ => format!(" ({method}'s default)"),
            };
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
            Some(held) if held.is_packed() && method.trains_linear_layers() => {
                Err(CliError::Usage(format!(
                    "--quantise {} holds linear layers in few bits, and --method {method} trains them: leave --quantise out, or train an adapter (--method lora)",
                    held.name()
                )))
            }
            _ => Ok(()),
        }
    }

    /// What linear layers are held as: dense where their own weights train.
    pub(crate) fn held(&self) -> Quantise {
        match self.model.quantise {
            None if self.method().trains_linear_layers() => Quantise::Dense,
            held => HoldArg::of(held),
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
