//! The run without arguments: the main job, on the model and the rows that come with the command.
//!
//! It calls the verbs as their users do, by command lines that it shows, so that it can do nothing
//! that they cannot.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

use peft_train::{Dataset, Row};

use super::{eval, print_line};
use crate::args::{Cli, Verb};
use crate::error::CliError;

/// Where the run keeps its files, in the current directory.
const DIR: &str = "peft-demo";
/// How many rows of the test set are completed at the end.
const SAMPLES: usize = 4;
/// The flags of `train`.
const RECIPE: &str =
    "--method lora --rank 8 --epochs 3 --batch-size 16 --lr 5e-3 --schedule cosine --warmup 0.05";

macro_rules! asset {
    ($path:literal) => {
        (
            $path,
            include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/", $path)),
        )
    };
}

/// What comes with the command; `assets/README.md` says how it was made.
const ASSETS: [(&str, &[u8]); 9] = [
    asset!("model/config.json"),
    asset!("model/model.safetensors"),
    asset!("model/tokenizer.json"),
    asset!("model/tokenizer_config.json"),
    asset!("wordnet/train.jsonl"),
    asset!("wordnet/valid.jsonl"),
    asset!("wordnet/test.jsonl"),
    asset!("wordnet/LICENSE"),
    asset!("README.md"),
];

pub(crate) fn run() -> Result<(), CliError> {
    let started = Instant::now();
    print_line(format!(
        "Without arguments, peft fine-tunes a small language model that comes with it: from the definition of a noun in\n\
         WordNet to its category, one of 16. Less than a minute on two cores. Files go to {DIR}/. `--help` lists the verbs."
    ))?;
    unpack(Path::new(DIR))?;
    let (model, test) = (format!("{DIR}/model"), format!("{DIR}/wordnet/test.jsonl"));
    let (adapter, merged) = (format!("{DIR}/adapter"), format!("{DIR}/merged"));
    let evaluate = |extra: &[&str]| {
        let mut words = vec!["eval", "--model", &model, "--data", &test, "--choices"];
        words.extend(extra);
        step(&words).map(|report| report.unwrap_or_default())
    };

    heading("Before: the model has read definitions, but not what the task is")?;
    let before = evaluate(&[])?;

    heading("Train a LoRA adapter")?;
    let (rows, valid) = (
        format!("{DIR}/wordnet/train.jsonl"),
        format!("{DIR}/wordnet/valid.jsonl"),
    );
    let mut words = vec![
        "train", "--model", &model, "--train", &rows, "--valid", &valid,
    ];
    words.extend(RECIPE.split_whitespace());
    words.extend(["--out", &adapter]);
    step(&words)?;

    heading("After")?;
    let after = evaluate(&["--adapter", &adapter])?;

    heading("Merge the adapter into the model, so that inference costs nothing more")?;
    step(&[
        "merge",
        "--model",
        &model,
        "--adapter",
        &adapter,
        "--out",
        &merged,
    ])?;

    heading("Complete a few rows of the test set with the merged model")?;
    let dataset = Dataset::read(&test)?;
    for row in dataset.rows().take(SAMPLES) {
        if let Row::Completion { prompt, completion } = row? {
            step(&["generate", "--model", &merged, "--prompt", &prompt])?;
            print_line(format!("(the row says{completion})"))?;
        }
    }

    print_line(format!(
        "\naccuracy on {} test rows    before {:.3}    after {:.3}    always the same category {:.3}",
        dataset.len(),
        accuracy(&before),
        accuracy(&after),
        majority(&dataset)?
    ))?;
    print_line(format!("{:.0} s in all", started.elapsed().as_secs_f64()))?;
    print_line(format!(
        "\nWith your own checkpoint (config.json, model.safetensors, tokenizer.json) and rows, one object a line, such as\n  \
         {{\"prompt\": \"...\", \"completion\": \"...\"}}    {{\"messages\": [...]}}    {{\"text\": \"...\"}}\n\n  \
         {0} train --model DIR --train FILE --valid FILE --out ADAPTER\n  \
         {0} eval --model DIR --adapter ADAPTER --data FILE\n  \
         {0} generate --model DIR --adapter ADAPTER --prompt TEXT\n  \
         {0} merge --model DIR --adapter ADAPTER --out MERGED",
        program()
    ))
}

/// Write what comes with the command, and take away what an earlier run made.
fn unpack(dir: &Path) -> Result<(), CliError> {
    for made in ["adapter", "merged"] {
        let path = dir.join(made);
        if path.exists() {
            fs::remove_dir_all(&path).map_err(|source| CliError::Io {
                action: "remove",
                path,
                source,
            })?;
        }
    }
    for (name, bytes) in ASSETS {
        let path = dir.join(name);
        let parent = path.parent().unwrap_or(dir);
        fs::create_dir_all(parent)
            .and_then(|()| peft_files::replace(&path, bytes))
            .map_err(|source| CliError::Io {
                action: "write",
                path,
                source,
            })?;
    }
    Ok(())
}

fn heading(text: &str) -> Result<(), CliError> {
    print_line(format!("\n== {text}"))
}

/// Show a command line and run it; what `eval` reports.
fn step(words: &[&str]) -> Result<Option<serde_json::Value>, CliError> {
    let shown = words.iter().map(|word| match word.contains(' ') {
        true => format!("'{word}'"),
        false => (*word).to_owned(),
    });
    let shown = shown.collect::<Vec<_>>().join(" ");
    print_line(format!("$ {} {shown}", program()))?;
    let cli = Cli::read([&["peft"], words].concat())
        .map_err(|error| CliError::Usage(error.to_string()))?;
    match cli.verb {
        Some(Verb::Eval(args)) => {
            let report = eval::report(&args)?;
            eval::print(&report, args.json)?;
            return Ok(Some(report));
        }
        verb @ Some(_) => crate::run(verb)?,
        None => {}
    }
    Ok(None)
}

/// The command as it was called.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "peft".into())
}

fn accuracy(report: &serde_json::Value) -> f64 {
    report["accuracy"].as_f64().unwrap_or(f64::NAN)
}

/// How often the most frequent completion is right.
fn majority(dataset: &Dataset) -> Result<f64, CliError> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for row in dataset.rows() {
        if let Row::Completion { completion, .. } = row? {
            *counts.entry(completion).or_default() += 1;
        }
    }
    let most = counts.values().max().copied().unwrap_or_default();
    Ok(most as f64 / dataset.len() as f64)
}
