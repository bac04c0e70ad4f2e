//! The flags of `peft add-tokens`.

use std::path::PathBuf;

use clap::Args;

#[derive(Args)]
pub(crate) struct AddTokensArgs {
    /// Checkpoint directory of a decoder
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// A token a line; behind a tab, where there is one, a text whose tokens' mean its rows begin
    /// as; without, they begin as the mean of all
    #[arg(long, value_name = "FILE")]
    pub(crate) tokens: PathBuf,
    /// Directory to write; it must not exist
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// flex, ndarray, cuda or cuda:N, as far as built in
    #[arg(long, default_value = "flex")]
    pub(crate) device: String,
    /// Load the model even if the machine's memory does not seem to hold it
    #[arg(long)]
    pub(crate) any_size: bool,
}
