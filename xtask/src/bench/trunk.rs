//! `cargo xtask bench trunk`: an epoch of a model's top layers, with the states below them kept and
//! without.

use std::io;

use super::sample::{Sample, median};
use super::{WITH_KERNELS, example, machine, megabytes};
use crate::shell::status;

/// An epoch with the states kept must take at most this share of one without, from the second on.
const REQUIRED: f64 = 0.3;
const EXAMPLE: &str = "bench_trunk";
/// With the states kept and without.
const KEPT: [&str; 2] = ["cached", "whole"];
/// The tasks of `tests/examples/bench_trunk.rs`.
const TASKS: [(&str, &str); 2] = [
    ("class", "BERT-base's blocks, the class of a text"),
    (
        "completion",
        "as wide a Llama, completions of an eighth of a text",
    ),
];

/// How to measure.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Turns of both variants
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
}

/// Measure and print; whether the required ratio holds.
pub(crate) fn run(args: &Args) -> io::Result<bool> {
    let mut build = example("build", EXAMPLE, WITH_KERNELS, None);
    build.arg("--quiet");
    if !status(build)? {
        return Err(io::Error::other("the benchmark does not build"));
    }
    println!(
        "\n12 layers, d=768, vocabulary 4000, 64 rows of 128 tokens in batches of 32, the top two layers train, f32, flex with x86-v4."
    );
    println!(
        "{}. The smallest of the second to fourth epoch, median of {} processes; the largest peak RSS.\n",
        machine(),
        args.rounds
    );
    println!("| | states | s/epoch | peak RSS | trainable | ratio |");
    println!("|---|---|---|---|---|---|");
    let mut verdicts = Vec::new();
    for (task, shown) in TASKS {
        let mut samples = [Vec::new(), Vec::new()];
        for _ in 0..args.rounds {
            for (kept, of) in KEPT.iter().zip(&mut samples) {
                let variant = format!("{task}-{kept}");
                of.push(Sample::of(example(
                    "run",
                    EXAMPLE,
                    WITH_KERNELS,
                    Some(&variant),
                ))?);
            }
        }
        let middle = |of: &[Sample]| {
            let middle = median(of.iter().map(|sample| sample.seconds));
            middle.ok_or_else(|| io::Error::other("no samples"))
        };
        let [cached, whole] = [middle(&samples[0])?, middle(&samples[1])?];
        for ((kept, of), seconds) in KEPT.iter().zip(&samples).zip([cached, whole]) {
            let peak = of.iter().map(|sample| sample.peak_kib).max().unwrap_or(0);
            let (peak, trainable) = (megabytes(peak), of[0].trainable);
            let ratio = seconds / whole;
            println!("| {shown} | {kept} | {seconds:.3} | {peak} MB | {trainable} | {ratio:.2} |");
        }
        verdicts.push((shown, cached <= REQUIRED * whole));
    }
    println!();
    for (shown, holds) in &verdicts {
        let verdict = if *holds { "holds" } else { "FAILS" };
        println!("at most {REQUIRED} of the time without, {shown}: {verdict}");
    }
    Ok(verdicts.iter().all(|(_, holds)| *holds))
}
