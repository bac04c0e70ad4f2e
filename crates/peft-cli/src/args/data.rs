//! `peft data`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::RowArgs;

#[derive(Args)]
pub(crate) struct DataArgs {
    #[command(subcommand)]
    pub(crate) verb: DataVerb,
}

#[derive(Subcommand)]
pub(crate) enum DataVerb {
    /// What a run would make of rows: tokens and targets of the first, lengths, and what is wrong.
    /// Exit 2 where a run would be wrong
    Check(CheckArgs),
}

#[derive(Args, Clone)]
pub(crate) struct CheckArgs {
    /// Rows: files or directories of JSONL, JSON lists, CSV, TSV or Parquet, also packed by gzip or
    /// zstd
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The model that is to train: its tokenizer, chat template, labels and limits
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Directory whose tokenizer.json, and chat template if it has one, is used instead of the
    /// model's own
    #[arg(long, value_name = "DIR")]
    pub(crate) tokenizer: Option<PathBuf>,
    /// Validation rows, which should be none of the others
    #[arg(long, visible_alias = "validation", value_name = "FILE", num_args = 1..)]
    pub(crate) valid: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) rows: RowArgs,
    /// Tokens of a row beyond this are cut off
    #[arg(long, default_value_t = 512)]
    pub(crate) max_length: usize,
    /// Completions do not end with the end-of-sequence token
    #[arg(long)]
    pub(crate) no_eos: bool,
    /// The labels are for a fresh head, whatever the model has
    #[arg(long)]
    pub(crate) new_head: bool,
    /// Rows that are shown as tokens
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) show: usize,
    /// One JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}
