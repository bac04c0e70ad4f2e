//! `cargo xtask bench methods`: every method of `peft train` on one task, with the same rows and
//! epochs.
//!
//! The command itself is measured, as its users run it: `peft train`, then `peft eval` on rows that
//! were not trained on. Quality, parameters that train, size of the file, seconds a step in the
//! last epoch, peak memory; and, of a decoder, forgetting: the loss of text that has nothing to do
//! with the task, after the run less before it. Rates are each method's own; they were chosen among
//! a few on validation rows.

mod recipes;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use self::recipes::{RECIPES, Recipe};
use super::machine;
use crate::shell::{cargo, root, status};

/// What to measure on.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A checkpoint directory; the decoder that comes with the command if not given
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// A directory with train.jsonl and test.jsonl; WordNet's categories if not given
    #[arg(long, value_name = "DIR")]
    rows: Option<PathBuf>,
    /// Times through the rows
    #[arg(long, default_value_t = 3)]
    epochs: usize,
    /// Runs of each method, with other seeds; what is printed is their mean
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    seeds: u32,
    /// Only the methods whose names contain one of these
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

/// What a method's run gave.
struct Figures {
    trainable: u64,
    file: u64,
    seconds_per_step: f64,
    peak_kib: u64,
    accuracy: f64,
    loss: f64,
    /// Of a decoder.
    untouched_loss: Option<f64>,
}

/// Measure and print; methods that this model cannot take are named with the reason.
pub(crate) fn run(args: &Args) -> io::Result<bool> {
    if !status(cargo(["build", "--release"]))? {
        return Err(io::Error::other("the command does not build"));
    }
    let task = Task::new(args)?;
    let before = task.untouched_loss(&task.model, None)?;
    println!(
        "\n{}. {} epochs of {} rows, batches of {BATCH}, {:.0} tokens a step, linear decay; {} seeds; f32, flex.",
        machine(),
        args.epochs,
        task.n,
        task.tokens_per_step,
        args.seeds,
    );
    if let Some(loss) = before {
        println!("The loss of other text is {loss:.3} before.");
    }
    println!(
        "\n| method | accuracy | loss | other text | trainable | file | s/step | tokens/s | / LoRA | peak RSS | / LoRA |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    let wanted = |recipe: &&Recipe| {
        let mut only = args.only.iter();
        args.only.is_empty() || only.any(|only| recipe.name.contains(only.as_str()))
    };
    let mut first: Option<(f64, u64)> = None;
    for recipe in RECIPES.iter().filter(wanted) {
        let runs = (0..args.seeds).map(|seed| task.measure(recipe, seed));
        let runs = runs.collect::<io::Result<Result<Vec<Figures>, String>>>()?;
        match runs {
            Err(reason) => println!("| {} | {reason} |  |  |  |  |  |  |  |  |  |", recipe.name),
            Ok(runs) => println!(
                "| {} | {} |",
                recipe.name,
                task.row(&runs, before, &mut first)
            ),
        }
    }
    Ok(true)
}

const BATCH: usize = 16;

/// What every method is measured on.
struct Task {
    model: PathBuf,
    rows: PathBuf,
    /// Rows to train on.
    n: usize,
    tokens_per_step: f64,
    /// Whether rows are texts with labels, for an encoder.
    labelled: bool,
    epochs: usize,
    out: PathBuf,
    /// Texts that have nothing to do with the task.
    untouched: PathBuf,
}

impl Task {
    fn new(args: &Args) -> io::Result<Self> {
        let assets = root().join("crates/peft-cli/assets");
        let model = args.model.clone().unwrap_or_else(|| assets.join("model"));
        let rows = args.rows.clone().unwrap_or_else(|| assets.join("wordnet"));
        let labelled = fs::read_to_string(rows.join("test.jsonl"))?
            .lines()
            .next()
            .is_some_and(|row| row.contains("\"label\""));
        let train = rows.join("train.jsonl");
        let n = fs::read_to_string(&train)?.lines().count();
        let mut check = peft("data check", &model);
        check.arg(&train).arg("--json");
        let tokens = number(&printed(check)?, "sum")?;
        let out = root().join("target").join("bench-methods");
        let untouched = out.with_extension("jsonl");
        fs::write(&untouched, paragraphs()?)?;
        Ok(Self {
            model,
            rows,
            n,
            tokens_per_step: tokens / n as f64 * BATCH as f64,
            labelled,
            epochs: args.epochs,
            out,
            untouched,
        })
    }

    /// The means of a method's runs; the first method's are what others are compared with.
    fn row(&self, runs: &[Figures], before: Option<f64>, first: &mut Option<(f64, u64)>) -> String {
        let mean = |of: fn(&Figures) -> f64| runs.iter().map(of).sum::<f64>() / runs.len() as f64;
        let accuracies = || runs.iter().map(|run| run.accuracy);
        let spread = accuracies().fold(0.0, f64::max) - accuracies().fold(1.0, f64::min);
        let spread = match runs.len() {
            1 => String::new(),
            _ => format!(" ± {:.3}", spread / 2.0),
        };
        let seconds = mean(|run| run.seconds_per_step);
        let peak = runs.iter().map(|run| run.peak_kib).max().unwrap_or(0);
        let forgotten = before.map(|before| {
            let after = mean(|run| run.untouched_loss.unwrap_or(f64::NAN));
            format!("{:+.3}", after - before)
        });
        let (first_seconds, first_peak) = *first.get_or_insert((seconds, peak));
        format!(
            "{:.3}{spread} | {:.3} | {} | {} | {:.0} kB | {seconds:.4} | {:.0} | {:.2} | {} MB | {:.2}",
            mean(|run| run.accuracy),
            mean(|run| run.loss),
            forgotten.unwrap_or_default(),
            runs[0].trainable,
            mean(|run| run.file as f64) / 1000.0,
            self.tokens_per_step / seconds,
            seconds / first_seconds,
            peak * 1024 / 1_000_000,
            peak as f64 / first_peak as f64,
        )
    }

    /// One method's figures, or why it cannot be.
    fn measure(&self, recipe: &Recipe, seed: u32) -> io::Result<Result<Figures, String>> {
        if self.out.exists() {
            fs::remove_dir_all(&self.out)?;
        }
        let mut train = peft("train", &self.model);
        train
            .arg("--train")
            .arg(self.rows.join("train.jsonl"))
            .args(recipe.flags.split_whitespace())
            .args(["--lr", recipe.rates[usize::from(self.labelled)]])
            .args(["--batch-size", &BATCH.to_string(), "--max-length", "128"])
            .args(["--seed", &seed.to_string()])
            .args(["--epochs", &self.epochs.to_string()])
            .arg("--out")
            .arg(&self.out);
        let log = self.out.with_extension("log");
        let mut child = train
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log)?)
            .spawn()?;
        let peak_kib = watch(&mut child)?;
        let outcome = child.wait()?;
        let said = fs::read_to_string(&log)?;
        if !outcome.success() {
            let reason = said.lines().find_map(|line| line.strip_prefix("error: "));
            let reason = reason
                .unwrap_or("failed")
                .split(';')
                .next()
                .unwrap_or_default();
            return Ok(Err(reason.to_owned()));
        }
        let figures = trainable(&said).zip(seconds_per_step(&fs::read_to_string(
            self.out.join("metrics.jsonl"),
        )?));
        let (trainable, seconds_per_step) =
            figures.ok_or_else(|| io::Error::other(format!("no figures in `{said}`")))?;
        let mut eval = self.eval(&self.model, Some(&self.out));
        eval.arg("--data").arg(self.rows.join("test.jsonl"));
        if !self.labelled {
            eval.arg("--choices");
        }
        let report = printed(eval)?;
        Ok(Ok(Figures {
            trainable,
            file: largest_file(&self.out)?,
            seconds_per_step,
            peak_kib,
            accuracy: number(&report, "accuracy")?,
            loss: number(&report, "loss")?,
            untouched_loss: self.untouched_loss(&self.model, Some(&self.out))?,
        }))
    }

    /// The loss of the texts that have nothing to do with the task; of an encoder's classifier
    /// there is none.
    fn untouched_loss(&self, model: &Path, run: Option<&Path>) -> io::Result<Option<f64>> {
        if self.labelled {
            return Ok(None);
        }
        let mut eval = self.eval(model, run);
        eval.arg("--data").arg(&self.untouched);
        number(&printed(eval)?, "loss").map(Some)
    }

    /// `peft eval` with what a run has left: a model by itself, or an adapter.
    fn eval(&self, model: &Path, run: Option<&Path>) -> Command {
        let whole = run.filter(|run| run.join("config.json").exists());
        let mut eval = peft("eval", whole.unwrap_or(model));
        eval.arg("--json");
        if let Some(run) = run.filter(|_| whole.is_none()) {
            eval.arg("--adapter").arg(run);
        }
        eval
    }
}

pub(super) fn peft(verb: &str, model: &Path) -> Command {
    let mut command = Command::new(root().join("target/release/peft"));
    command.args(verb.split_whitespace());
    command.arg("--model").arg(model);
    command
}

/// What a command prints.
fn printed(mut command: Command) -> io::Result<String> {
    let output = command.stderr(Stdio::inherit()).output()?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(io::Error::other(format!("failed: {command:?}"))),
    }
}

/// Text rows of what the pages of this project say.
fn paragraphs() -> io::Result<String> {
    const PAGES: [&str; 3] = ["architecture", "reliability", "methods"];
    let mut rows = String::new();
    for page in PAGES {
        let text = fs::read_to_string(root().join("docs").join(page).with_extension("md"))?;
        let prose = |part: &&str| part.starts_with(char::is_alphabetic) && part.len() > 200;
        for part in text.split("\n\n").filter(prose) {
            let text = part
                .replace('\\', "")
                .replace('"', "\\\"")
                .replace('\n', " ");
            rows += &format!("{{\"text\": \"{text}\"}}\n");
        }
    }
    Ok(rows)
}

/// The bytes of the largest file of weights that is a result: an adapter, parts of a model, or one.
fn largest_file(run: &Path) -> io::Result<u64> {
    let mut largest = 0;
    for entry in fs::read_dir(run)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(".safetensors") && name != "final.safetensors" {
            largest = largest.max(entry.metadata()?.len());
        }
    }
    Ok(largest)
}

/// The high-water mark of a process's resident memory, read until it ends, in KiB.
fn watch(child: &mut Child) -> io::Result<u64> {
    let path = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait()?.is_none() {
        let status = fs::read_to_string(&path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
        peak = peak.max(kib.unwrap_or(0));
        sleep(Duration::from_millis(20));
    }
    Ok(peak)
}

/// The first number of the last line of a summary, `total  1,536  1,968,960  0.078`.
fn trainable(said: &str) -> Option<u64> {
    let line = said.lines().find_map(|line| line.strip_prefix("total "))?;
    line.split_whitespace()
        .next()?
        .replace(',', "")
        .parse()
        .ok()
}

/// Mean seconds a step of the last epoch.
fn seconds_per_step(metrics: &str) -> Option<f64> {
    let steps: Vec<(f64, f64)> = metrics
        .lines()
        .filter_map(|line| Some((field(line, "epoch")?, field(line, "seconds")?)))
        .collect();
    let (end, _) = *steps.last()?;
    let last = steps.iter().filter(|(epoch, _)| *epoch > end - 1.0);
    let seconds: Vec<f64> = last.map(|(_, seconds)| *seconds).collect();
    Some(seconds.iter().sum::<f64>() / seconds.len() as f64)
}

/// A number of a JSON object that is printed.
fn number(json: &str, name: &str) -> io::Result<f64> {
    field(json, name).ok_or_else(|| io::Error::other(format!("no {name} in `{json}`")))
}

/// A number of a flat JSON object.
pub(super) fn field(json: &str, name: &str) -> Option<f64> {
    let (_, rest) = json.split_once(&format!("\"{name}\":"))?;
    let end = rest.find([',', '}', '\n']).unwrap_or(rest.len());
    rest[..end].trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read() {
        let said = "lora `default` on 2 layers\nmodule  trainable  total  %\ntotal      1,536       1,968,960     0.078\n";
        assert_eq!(trainable(said), Some(1536));
        assert_eq!(trainable("nothing"), None);
        let line = |epoch: f64, seconds: f64| {
            format!(
                "{{\"step\":1,\"train\":{{\"epoch\":{epoch},\"targets\":10,\"seconds\":{seconds}}}}}\n"
            )
        };
        let metrics = line(0.5, 1.0) + &line(1.0, 2.0) + &line(1.5, 0.75) + &line(2.0, 0.25);
        let seconds = seconds_per_step(&metrics).expect("seconds");
        assert!((seconds - 0.5).abs() < 1e-9, "{seconds}");
        assert_eq!(
            field("{\"loss\": 0.25, \"accuracy\":1.0}", "loss"),
            Some(0.25)
        );
        assert_eq!(field("{\"accuracy\":1.0}", "accuracy"), Some(1.0));
    }
}
