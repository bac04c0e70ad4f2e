//! `cargo xtask bench trunk`: an epoch of a model's top layers, with the states below them kept and without.

use std::io;

use super::sample::{Sample, median};
use super::{example, machine, megabytes};
use crate::shell::status;

/// An epoch with the states kept must take at most this share of one without, from the second on.
const REQUIRED: f64 = 0.3;
const EXAMPLE: &str = "bench_trunk";
/// The variants of `tests/examples/bench_trunk.rs`.
const VARIANTS: [&str; 2] = ["cached", "whole"];

/// How to measure.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Turns of both variants
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
}

/// Measure and print; whether the required ratio holds.
pub(crate) fn run(args: &Args) -> io::Result<bool> {
    let mut build = example("build", EXAMPLE, None);
    build.arg("--quiet");
    if !status(build)? {
        return Err(io::Error::other("the benchmark does not build"));
    }
    let mut samples = [Vec::new(), Vec::new()];
    for _ in 0..args.rounds {
        for (variant, of) in VARIANTS.iter().zip(&mut samples) {
            of.push(Sample::of(example("run", EXAMPLE, Some(variant)))?);
        }
    }
    println!(
        "\n12-layer Llama, d=256, ff=768, vocabulary 2000, 16 rows of 128 tokens in batches of 4, the top two layers train, f32, flex with x86-v4."
    );
    println!(
        "{}. The smaller of the second and third epoch, median of {} processes; the largest peak RSS.\n",
        machine(),
        args.rounds
    );
    println!("| | s/epoch | peak RSS | trainable |");
    println!("|---|---|---|---|");
    let mut seconds = Vec::new();
    for (variant, of) in VARIANTS.iter().zip(&samples) {
        let middle = median(of.iter().map(|sample| sample.seconds));
        let peak = of.iter().map(|sample| sample.peak_kib).max();
        let (Some(middle), Some(peak), Some(first)) = (middle, peak, of.first()) else {
            return Err(io::Error::other("no samples"));
        };
        let (peak, trainable) = (megabytes(peak), first.trainable);
        println!("| {variant} | {middle:.3} | {peak} MB | {trainable} |");
        seconds.push(middle);
    }
    let ratio = seconds[0] / seconds[1];
    let holds = ratio <= REQUIRED;
    let verdict = if holds { "holds" } else { "FAILS" };
    println!("\nat most {REQUIRED} of the time without: {verdict} ({ratio:.2})");
    Ok(holds)
}
