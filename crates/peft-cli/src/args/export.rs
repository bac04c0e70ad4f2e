//! The flags of `peft export`, `peft extract` and `peft spectrum`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};

/// The formats of other runtimes.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// What llama.cpp and what is made of it read
    Gguf,
}

/// What weights are stored as.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum QuantiseArg {
    F32,
    F16,
    Bf16,
    #[value(name = "q8_0")]
    Q8_0,
    #[value(name = "q4_0")]
    Q4_0,
}

#[derive(Args)]
pub(crate) struct ExportArgs {
    /// Checkpoint directory, or a GGUF file
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Adapter directory, which is merged into the model
    #[arg(long, value_name = "DIR")]
    pub(crate) adapter: Option<PathBuf>,
    /// Write the adapter alone, as llama.cpp's --lora takes it, and not the model
    #[arg(long, requires = "adapter", conflicts_with = "quantise")]
    pub(crate) adapter_only: bool,
    /// Write a directory with LoRA near to what the adapter adds to the weights, for runtimes that
    /// read LoRA alone
    #[arg(long, requires_all = ["adapter", "rank"], conflicts_with_all = ["adapter_only", "quantise"])]
    pub(crate) to_lora: bool,
    /// The rank of that LoRA
    #[arg(long, requires = "to_lora")]
    pub(crate) rank: Option<NonZeroUsize>,
    /// The file's format
    #[arg(long, value_enum, default_value = "gguf")]
    pub(crate) format: ExportFormat,
    /// What matrices are stored as
    #[arg(long, value_enum, default_value = "f16")]
    pub(crate) quantise: QuantiseArg,
    /// File to write, a directory with --to-lora; it must not exist
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// flex, ndarray, cuda or cuda:N, as far as built in
    #[arg(long, default_value = "flex")]
    pub(crate) device: String,
    /// Load the model even if the machine's memory does not seem to hold it
    #[arg(long)]
    pub(crate) any_size: bool,
}

#[derive(Args)]
#[command(group(ArgGroup::new("size").required(true).args(["rank", "energy"])))]
pub(crate) struct ExtractArgs {
    /// The model before it was tuned: a checkpoint directory, or a GGUF file
    #[arg(long, value_name = "DIR")]
    pub(crate) base: PathBuf,
    /// The model after that
    #[arg(long, value_name = "DIR")]
    pub(crate) tuned: PathBuf,
    /// Rank of the adapter on each layer
    #[arg(long)]
    pub(crate) rank: Option<NonZeroUsize>,
    /// The least rank on each layer that holds this part of the sum of the squares of its change,
    /// such as 0.95
    #[arg(long)]
    pub(crate) energy: Option<f64>,
    /// Directory to write; it must not exist
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// flex, ndarray, cuda or cuda:N, as far as built in
    #[arg(long, default_value = "flex")]
    pub(crate) device: String,
    /// Load the models even if the machine's memory does not seem to hold them
    #[arg(long)]
    pub(crate) any_size: bool,
}

#[derive(Args)]
pub(crate) struct SpectrumArgs {
    /// Checkpoint directory, or a GGUF file
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Adapter directory: look at what it adds to the weights
    #[arg(long, value_name = "DIR", conflicts_with = "tuned")]
    pub(crate) adapter: Option<PathBuf>,
    /// The model after it was tuned: look at what has changed
    #[arg(long, value_name = "DIR")]
    pub(crate) tuned: Option<PathBuf>,
    /// Draw the energy by rank into this file
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// One JSON object on standard output, with all singular values
    #[arg(long)]
    pub(crate) json: bool,
    /// flex, ndarray, cuda or cuda:N, as far as built in
    #[arg(long, default_value = "flex")]
    pub(crate) device: String,
    /// Load the models even if the machine's memory does not seem to hold them
    #[arg(long)]
    pub(crate) any_size: bool,
}
