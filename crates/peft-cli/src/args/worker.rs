//! The flags of `worker`.

use std::path::PathBuf;

use clap::Args;

#[derive(Args)]
pub(crate) struct WorkerArgs {
    /// Where to listen; other machines reach it only with a token
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:3000")]
    pub(crate) listen: String,
    /// Devices to lend, of one backend: flex, ndarray, cuda or cuda:N, as far as built in
    #[arg(
        long = "device",
        value_name = "DEVICE",
        value_delimiter = ',',
        default_value = "flex"
    )]
    pub(crate) devices: Vec<String>,
    /// File with the token that whoever comes must have; that of the variable PEFT_WORKER_TOKEN if
    /// not given
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}
