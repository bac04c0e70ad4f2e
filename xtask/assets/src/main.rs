//! Rebuilds the assets of the default run from WordNet: rows, tokenizer, model, and the baselines
//! beside it.
//!
//! Run by `cargo xtask assets`. A package of its own, so that the other verbs of `xtask` do not
//! wait for its dependencies.

mod baselines;
mod model;
mod task;
mod vocabulary;
mod wordnet;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[derive(Parser)]
#[command(
    name = "cargo xtask assets",
    about = "Rebuild data, tokenizer and model of the default run"
)]
struct Args {
    /// WordNet 3.0's data files (Debian: apt-get install wordnet-base)
    #[arg(long, default_value = "/usr/share/wordnet")]
    wordnet: PathBuf,
    /// Where the default run finds its assets
    #[arg(long, default_value = "crates/peft-cli/assets")]
    assets: PathBuf,
    /// What is built on the way and not kept in the repository
    #[arg(long, default_value = "target/assets")]
    work: PathBuf,
    /// Only this step; each needs the files of those before it
    #[arg(long, value_enum)]
    step: Option<Step>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Step {
    /// The rows of the task and the text to pre-train on
    Data,
    /// The BPE vocabulary
    Tokenizer,
    /// Majority class, and logistic regression on tf-idf
    Baselines,
    /// Pre-training, by `peft train --method full`
    Model,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Outcome<()> {
    let wanted = |step| args.step.is_none_or(|only| only == step);
    let rows = args.assets.join("wordnet");
    let model = args.assets.join("model");
    let corpus = args.work.join("pretrain.jsonl");
    if wanted(Step::Data) {
        let synsets = wordnet::read(&args.wordnet)?;
        let split = task::split(&synsets)?;
        task::write(&split, &rows, &corpus)?;
    }
    if wanted(Step::Tokenizer) {
        vocabulary::train(&corpus, &rows.join("train.jsonl"), &model)?;
    }
    if wanted(Step::Baselines) {
        baselines::run(&rows)?;
    }
    if wanted(Step::Model) {
        model::pretrain(&corpus, &args.work, &model)?;
    }
    Ok(())
}

/// The lines of a file, with its name in the error.
fn lines(path: &Path) -> Outcome<Vec<String>> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Ok(text.lines().map(str::to_owned).collect())
}
