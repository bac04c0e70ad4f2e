//! Where a model is and how it runs.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

/// Where a model is and how it runs.
#[derive(Args, Clone, Serialize)]
pub(crate) struct ModelArgs {
    /// Checkpoint directory: config.json, model.safetensors, tokenizer.json
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Directory whose tokenizer.json, and chat template if it has one, is used instead of the
    /// model's own
    #[arg(long, value_name = "DIR")]
    pub(crate) tokenizer: Option<PathBuf>,
    /// flex, ndarray, cuda or cuda:N, as far as built in
    #[arg(long, default_value = "flex")]
    pub(crate) device: String,
    /// What the base model is held in: f32, bf16 or f16; all that is no product with its weights is
    /// f32
    #[arg(long, default_value = "f32")]
    pub(crate) dtype: String,
    /// Load the model even if the machine's memory does not seem to hold it
    #[arg(long)]
    #[serde(skip)]
    pub(crate) any_size: bool,
    /// Threads that compute; one a core if not given. Results have the same bits on any number
    #[arg(long, value_name = "N")]
    #[serde(skip)]
    pub(crate) threads: Option<usize>,
}
