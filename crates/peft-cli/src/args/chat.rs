//! The flags of `chat`.

use std::path::PathBuf;

use clap::Args;

use super::{ModelArgs, SamplingArgs};

#[derive(Args, Clone)]
pub(crate) struct ChatArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Adapter directory
    #[arg(long, value_name = "DIR")]
    pub(crate) adapter: Option<PathBuf>,
    /// What the system is told first, for chat templates that have that
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) system: Option<String>,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
}
