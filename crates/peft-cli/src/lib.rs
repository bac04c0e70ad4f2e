#![doc = include_str!("../README.md")]
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod changed_flags;
mod chart;
mod commands;
mod config_file;
mod device;
mod error;
mod progress;
mod remote;
mod say;

use std::ffi::OsString;
use std::num::NonZero;
use std::process::ExitCode;

use args::{Cli, Verb};
use error::CliError;
use peft_kernels::on_threads;
use say::say;

/// Run the command with these arguments, the first of which is its own name.
pub fn main(args: Vec<OsString>) -> ExitCode {
    let outcome = config_file::expand(args).and_then(|args| {
        let verb = Cli::read(args).unwrap_or_else(|error| error.exit()).verb;
        let threads = verb.as_ref().and_then(Verb::threads).map(NonZero::new);
        if threads == Some(None) {
            let wrong = "--threads is 0, but must be at least 1";
            return Err(CliError::Usage(wrong.into()));
        }
        let settled = match verb {
            // Waits for workers, which wait for these threads.
            Some(Verb::Train(_)) | None => on_threads(threads.flatten(), || ()).map(|()| run(verb)),
            Some(_) => on_threads(threads.flatten(), || run(verb)),
        };
        settled.map_err(|error| CliError::Usage(format!("--threads: {error}")))?
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_closed_output() => ExitCode::SUCCESS,
        Err(error) => {
            say!("error: {}", error.chain());
            ExitCode::from(error.exit_status())
        }
    }
}

/// Whether these arguments are understood, those in a file of settings included; nothing is run.
pub fn is_understood(args: Vec<OsString>) -> bool {
    config_file::expand(args).is_ok_and(|args| Cli::read(args).is_ok())
}

pub(crate) fn run(verb: Option<Verb>) -> Result<(), CliError> {
    remote::unless_lost(|| run_verb(verb))
}

fn run_verb(verb: Option<Verb>) -> Result<(), CliError> {
    let Some(verb) = verb else {
        return commands::demo::run();
    };
    match verb {
        Verb::Train(args) => commands::train::run(&args),
        Verb::Eval(args) => commands::eval::run(&args),
        Verb::Generate(args) => commands::generate::run(&args),
        Verb::Chat(args) => commands::chat::run(&args),
        Verb::Predict(args) => commands::predict::run(&args),
        Verb::Merge(args) => commands::merge::run(&args),
        Verb::Export(args) => commands::export::run(&args),
        Verb::Extract(args) => commands::extract::run(&args),
        Verb::AddTokens(args) => commands::add_tokens::run(&args),
        Verb::Combine(args) => commands::combine::run(&args),
        Verb::Spectrum(args) => commands::spectrum::run(&args),
        Verb::Inspect(args) => commands::inspect::run(&args),
        Verb::Data(args) => commands::data::run(&args),
        Verb::Doctor(args) => commands::doctor::run(&args),
        Verb::Plan(args) => commands::plan::run(&args),
        Verb::Report(args) => commands::report::run(&args),
        Verb::Worker(args) => commands::worker::run(&args),
    }
}
