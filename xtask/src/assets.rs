//! `cargo xtask assets`: the package beside this one that rebuilds what the default run ships.

use std::io;

use crate::shell::{cargo, status};

/// Passed on.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Flags of the rebuild; `-- --help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    flags: Vec<String>,
}

/// Run it; whether it succeeded.
pub(crate) fn run(args: &Args) -> io::Result<bool> {
    let mut command = cargo([
        "run",
        "--release",
        "--quiet",
        "--package",
        "peft-assets",
        "--",
    ]);
    command.args(&args.flags);
    status(command)
}
