//! Developer commands: `cargo xtask test | check | mutants | chaos | bench | assets`. One file a
//! verb.

mod assets;
mod backend;
mod bench;
mod chaos;
mod check;
mod deny;
mod evidence;
mod mutants;
mod shell;
mod tally;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Developer commands of this workspace")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Format, clippy, documentation and every test on each backend that is asked for, with a table
    /// at the end; writes the tables of docs/
    Test(test::Args),
    /// What is quick: format, the tidy rules, licences and advisories, clippy
    Check(check::Args),
    /// Deliberate faults, one at a time in a copy of the tree, each of which must turn its cases
    /// red
    Mutants(mutants::Args),
    /// Runs of the command that are killed, damaged, starved and started twice, with figures
    Chaos(chaos::Args),
    /// Measurements, side by side in one run
    Bench(bench::Args),
    /// Rebuild data, tokenizer and model of the default run from WordNet
    Assets(assets::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().verb {
        Verb::Test(args) => test::run(&args),
        Verb::Check(args) => check::run(&args),
        Verb::Mutants(args) => mutants::run(&args),
        Verb::Chaos(args) => chaos::run(&args),
        Verb::Bench(args) => bench::run(&args),
        Verb::Assets(args) => assets::run(&args),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
