//! `cargo xtask bench curves`: losses of runs with the base held in f32 and in bf16, by seed.
//!
//! The command itself, LoRA on the task that comes with it. What the precision changes is to be no
//! more than what the seed does.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use super::machine;
use super::methods::field;
use crate::shell::{cargo, root, shown, status};

const DTYPES: [&str; 2] = ["f32", "bf16"];

/// How to measure.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Steps of each run
    #[arg(long, default_value_t = 200)]
    steps: usize,
    /// Seeds, each a run in either precision
    #[arg(long, value_delimiter = ',', default_value = "0,1,2")]
    seeds: Vec<u64>,
}

/// Validation losses by step.
type Curve = Vec<(f64, f64)>;

/// Measure and print; whether the precisions end within what seeds differ by.
pub(crate) fn run(args: &Args) -> io::Result<bool> {
    if !status(cargo(["build", "--release"]))? {
        return Err(io::Error::other("the command does not build"));
    }
    let curves = args
        .seeds
        .iter()
        .map(|seed| Ok((*seed, [curve(args, *seed, 0)?, curve(args, *seed, 1)?])))
        .collect::<io::Result<Vec<_>>>()?;
    println!(
        "\n{}. {} steps of 16 rows, LoRA r=8; the loss of 512 validation rows.\n",
        machine(),
        args.steps
    );
    let steps = curves.first().map(|(_, [f32s, _])| f32s.iter());
    let steps: Vec<String> = steps
        .into_iter()
        .flatten()
        .map(|(step, _)| format!("step {step}"))
        .collect();
    println!("| seed | base | {} |", steps.join(" | "));
    println!("|---|---|{}", "---|".repeat(steps.len()));
    for (seed, both) in &curves {
        for (curve, dtype) in both.iter().zip(DTYPES) {
            let losses: Vec<String> = curve.iter().map(|(_, loss)| format!("{loss:.4}")).collect();
            println!("| {seed} | {dtype} | {} |", losses.join(" | "));
        }
    }
    let ends = |dtype: usize| -> Vec<f64> {
        let last = |curve: &Curve| curve.last().map_or(f64::NAN, |(_, loss)| *loss);
        curves.iter().map(|(_, both)| last(&both[dtype])).collect()
    };
    let (f32s, bf16s) = (ends(0), ends(1));
    let largest = f32s.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let noise = largest - f32s.iter().copied().fold(f64::INFINITY, f64::min);
    let apart = f32s.iter().zip(&bf16s).map(|(a, b)| (a - b).abs());
    let apart = apart.fold(0.0, f64::max);
    let holds = apart <= noise;
    println!(
        "\nprecisions end at most {apart:.4} apart, seeds {noise:.4}: {}",
        if holds { "holds" } else { "does not hold" }
    );
    Ok(holds)
}

fn curve(args: &Args, seed: u64, dtype: usize) -> io::Result<Curve> {
    let assets = root().join("crates/peft-cli/assets");
    let out = root().join("target/bench-curves");
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    let every = (args.steps / 4).max(1);
    let mut train = Command::new(root().join("target/release/peft"));
    train
        .arg("train")
        .arg("--model")
        .arg(assets.join("model"))
        .arg("--train")
        .arg(assets.join("wordnet/train.jsonl"))
        .arg("--valid")
        .arg(assets.join("wordnet/valid.jsonl"))
        .args("--rank 8 --lr 5e-3 --batch-size 16 --max-length 128".split(' '))
        .args(["--dtype", DTYPES[dtype]])
        .args(["--seed", &seed.to_string()])
        .args(["--max-steps", &args.steps.to_string()])
        .args(["--eval-every", &every.to_string()])
        .arg("--out")
        .arg(&out)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if !train.status()?.success() {
        return Err(io::Error::other(format!("`{}` failed", shown(&train))));
    }
    evaluations(&out)
}

/// The evaluations of a run's metrics.
fn evaluations(out: &Path) -> io::Result<Curve> {
    let metrics = fs::read_to_string(out.join("metrics.jsonl"))?;
    Ok(metrics
        .lines()
        .filter(|line| line.contains("\"valid\""))
        .filter_map(|line| Some((field(line, "step")?, field(line, "loss")?)))
        .collect())
}
