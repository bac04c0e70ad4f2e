//! The run without arguments: the main job, on what comes with the command.

use clap::CommandFactory;

use crate::args::Cli;
use crate::error::CliError;

pub(crate) fn run() -> Result<(), CliError> {
    let help = Cli::command().render_help();
    Err(CliError::Usage(format!("a verb is missing\n\n{help}")))
}
