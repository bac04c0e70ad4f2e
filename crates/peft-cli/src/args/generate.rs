//! The flags of `generate`.

use std::path::PathBuf;

use clap::Args;

use super::{AdaptersArgs, ModelArgs, SamplingArgs};

#[derive(Args, Clone)]
pub(crate) struct GenerateArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) adapters: AdaptersArgs,
    /// The text to answer, to continue, or to classify: a user's turn where the model has a chat
    /// template
    #[arg(long, required_unless_present = "messages", allow_hyphen_values = true)]
    pub(crate) prompt: Option<String>,
    /// What the system is told before the prompt, for chat templates that have that
    #[arg(
        long,
        value_name = "TEXT",
        conflicts_with = "raw",
        allow_hyphen_values = true
    )]
    pub(crate) system: Option<String>,
    /// A conversation to answer: a JSON file of messages, as rows have them
    #[arg(long, value_name = "FILE", conflicts_with_all = ["prompt", "raw"])]
    pub(crate) messages: Option<PathBuf>,
    /// Continue the prompt as it is, without the chat template
    #[arg(long)]
    pub(crate) raw: bool,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
    /// One JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

impl GenerateArgs {
    /// The text of a prompt.
    pub(crate) fn text(&self) -> &str {
        self.prompt.as_deref().unwrap_or_default()
    }
}
