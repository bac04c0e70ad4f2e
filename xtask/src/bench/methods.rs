//! `cargo xtask bench methods`: every method of `peft train` on one task, with the same rows and
//! epochs.
//!
//! The command itself is measured, as its users run it: `peft train`, then `peft eval` on rows that
//! were not trained on. Quality, parameters that train, seconds a step in the last epoch, peak
//! memory. Rates are each method's own; they were chosen among a few on validation rows.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

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
    /// Only the methods whose names contain this
    #[arg(long)]
    only: Option<String>,
}

/// A method: its name in the table, its flags, and its rates on a decoder and on an encoder.
struct Recipe {
    name: &'static str,
    flags: &'static str,
    rates: [&'static str; 2],
}

const fn recipe(name: &'static str, flags: &'static str, rates: [&'static str; 2]) -> Recipe {
    Recipe { name, flags, rates }
}

const RECIPES: [Recipe; 16] = [
    recipe("LoRA, r=8", "--method lora --rank 8", ["5e-3", "1e-3"]),
    recipe("IA3", "--method ia3", ["3e-2", "1e-2"]),
    recipe(
        "prompt tuning, 20",
        "--method prompt-tuning",
        ["1e-1", "1e-2"],
    ),
    recipe("P-Tuning, 20, MLP", "--method p-tuning", ["1e-2", "3e-3"]),
    recipe(
        "prefix tuning, 20",
        "--method prefix-tuning",
        ["1e-1", "1e-2"],
    ),
    recipe(
        "prefix tuning, 20, projected",
        "--method prefix-tuning --prefix-projection",
        ["1e-2", "3e-3"],
    ),
    recipe("full", "--method full", ["1e-3", "3e-4"]),
    recipe("head", "--method head", ["5e-3", "3e-3"]),
    recipe(
        "top-layers 2",
        "--method top-layers --layers 2",
        ["3e-3", "3e-4"],
    ),
    recipe(
        "top-layers 2, cached trunk",
        "--method top-layers --layers 2 --cache-trunk",
        ["3e-3", "3e-4"],
    ),
    recipe(
        "freeze-bottom 1",
        "--method freeze-bottom --layers 1",
        ["3e-3", "2e-4"],
    ),
    recipe("gradual", "--method gradual --every 100", ["3e-3", "2e-4"]),
    recipe(
        "LISA, 1 block",
        "--method lisa --layers 1 --every 25",
        ["1e-3", "3e-4"],
    ),
    recipe("BAdam", "--method badam --every 25", ["3e-3", "3e-4"]),
    recipe("bitfit", "--method bitfit", ["1e-2", "1e-2"]),
    recipe("norms", "--method norms", ["3e-2", "1e-2"]),
];

/// What a method's run gave.
struct Figures {
    trainable: u64,
    seconds_per_step: f64,
    peak_kib: u64,
    accuracy: f64,
    loss: f64,
}

/// Measure and print; methods that this model cannot take are named with the reason.
pub(crate) fn run(args: &Args) -> io::Result<bool> {
    if !status(cargo(["build", "--release"]))? {
        return Err(io::Error::other("the command does not build"));
    }
    let assets = root().join("crates/peft-cli/assets");
    let model = args.model.clone().unwrap_or_else(|| assets.join("model"));
    let rows = args.rows.clone().unwrap_or_else(|| assets.join("wordnet"));
    let labelled = fs::read_to_string(rows.join("test.jsonl"))?
        .lines()
        .next()
        .is_some_and(|row| row.contains("\"label\""));
    let out = root().join("target").join("bench-methods");
    println!(
        "\n{}. {} epochs of {} rows, batches of 16, linear decay; f32, flex.\n",
        machine(),
        args.epochs,
        fs::read_to_string(rows.join("train.jsonl"))?
            .lines()
            .count()
    );
    println!(
        "| method | accuracy | loss | trainable | s/step, last epoch | / LoRA | peak RSS | / LoRA |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let wanted = |recipe: &&Recipe| {
        args.only
            .as_ref()
            .is_none_or(|only| recipe.name.contains(only.as_str()))
    };
    let mut first: Option<(f64, u64)> = None;
    for recipe in RECIPES.iter().filter(wanted) {
        let task = Task {
            args,
            model: &model,
            rows: &rows,
            labelled,
            out: &out,
        };
        match task.measure(recipe)? {
            Err(reason) => println!("| {} | {reason} |  |  |  |  |  |  |", recipe.name),
            Ok(figures) => {
                let (seconds, peak) =
                    *first.get_or_insert((figures.seconds_per_step, figures.peak_kib));
                println!(
                    "| {} | {:.3} | {:.3} | {} | {:.4} | {:.2} | {} MB | {:.2} |",
                    recipe.name,
                    figures.accuracy,
                    figures.loss,
                    figures.trainable,
                    figures.seconds_per_step,
                    figures.seconds_per_step / seconds,
                    figures.peak_kib * 1024 / 1_000_000,
                    figures.peak_kib as f64 / peak as f64,
                );
            }
        }
    }
    Ok(true)
}

struct Task<'a> {
    args: &'a Args,
    model: &'a Path,
    rows: &'a Path,
    labelled: bool,
    out: &'a Path,
}

impl Task<'_> {
    /// One method's figures, or why it cannot be.
    fn measure(&self, recipe: &Recipe) -> io::Result<Result<Figures, String>> {
        if self.out.exists() {
            fs::remove_dir_all(self.out)?;
        }
        let mut train = peft("train", self.model);
        train
            .arg("--train")
            .arg(self.rows.join("train.jsonl"))
            .args(recipe.flags.split_whitespace())
            .args(["--lr", recipe.rates[usize::from(self.labelled)]])
            .args(["--batch-size", "16", "--max-length", "128", "--seed", "0"])
            .args(["--epochs", &self.args.epochs.to_string()])
            .arg("--out")
            .arg(self.out);
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
        let report = self.evaluate()?;
        let number = |name: &str| {
            field(&report, name).ok_or_else(|| io::Error::other(format!("no {name} in `{report}`")))
        };
        Ok(Ok(Figures {
            trainable,
            seconds_per_step,
            peak_kib,
            accuracy: number("accuracy")?,
            loss: number("loss")?,
        }))
    }

    fn evaluate(&self) -> io::Result<String> {
        // What was trained is a model by itself, or an adapter.
        let whole = self.out.join("config.json").exists();
        let model = if whole { self.out } else { self.model };
        let mut eval = peft("eval", model);
        eval.arg("--data")
            .arg(self.rows.join("test.jsonl"))
            .arg("--json");
        if !whole {
            eval.arg("--adapter").arg(self.out);
        }
        if !self.labelled {
            eval.arg("--choices");
        }
        let output = eval.stderr(Stdio::inherit()).output()?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(io::Error::other("the evaluation failed")),
        }
    }
}

pub(super) fn peft(verb: &str, model: &Path) -> Command {
    let mut command = Command::new(root().join("target/release/peft"));
    command.arg(verb).arg("--model").arg(model);
    command
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
