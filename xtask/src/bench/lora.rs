//! `cargo xtask bench lora`: the LoRA step of this workspace beside Burn's `apply_lora` and full
//! fine-tuning. `apply_lora` is measured as Burn has it, and on the kernels of this workspace too.
//!
//! Each variant is a process of its own, for its peak memory; the variants take turns, so that a
//! machine that slows down slows all of them.

use std::io;
use std::path::PathBuf;
use std::process::Command;

use super::sample::{Sample, median};
use super::{BURN_ALONE, WITH_KERNELS, example, machine, megabytes};
use crate::shell::{root, status};

/// The step must be this many times as fast as Burn's `apply_lora`, at no more memory.
const REQUIRED_SPEED_UP: f64 = 1.4;

/// A variant of `tests/examples/bench_lora.rs`, and its row.
struct Variant {
    name: &'static str,
    backend: &'static str,
    row: &'static str,
}

/// The first is ours and the second Burn's: what a user of each has.
const VARIANTS: [Variant; 7] = [
    Variant {
        name: "factored",
        backend: WITH_KERNELS,
        row: "factored LoRA (peft-lora)",
    },
    Variant {
        name: "apply_lora",
        backend: BURN_ALONE,
        row: "Burn `apply_lora`",
    },
    Variant {
        name: "factored",
        backend: BURN_ALONE,
        row: "factored LoRA, without the kernels",
    },
    Variant {
        name: "apply_lora",
        backend: WITH_KERNELS,
        row: "Burn `apply_lora`, on the kernels",
    },
    Variant {
        name: "full",
        backend: WITH_KERNELS,
        row: "full fine-tuning",
    },
    Variant {
        name: "dora",
        backend: WITH_KERNELS,
        row: "DoRA (peft-lora)",
    },
    Variant {
        name: "frozen_a",
        backend: WITH_KERNELS,
        row: "LoRA-FA (peft-lora)",
    },
];
const EXAMPLE: &str = "bench_lora";
const PYTORCH: &str = "PyTorch + PEFT LoRA, f32";

/// How to measure.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Turns of every variant
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// A Python with torch, transformers and peft: measures the same step there too
    #[arg(long, value_name = "PYTHON")]
    pytorch: Option<PathBuf>,
}

/// Measure and print; whether the required ratio holds.
pub(crate) fn run(args: &Args) -> io::Result<bool> {
    for backend in [WITH_KERNELS, BURN_ALONE] {
        let mut build = example("build", EXAMPLE, backend, None);
        build.arg("--quiet");
        if !status(build)? {
            return Err(io::Error::other("the benchmark does not build"));
        }
    }
    let mut names: Vec<&str> = VARIANTS.iter().map(|variant| variant.row).collect();
    names.extend(args.pytorch.as_ref().map(|_| PYTORCH));
    let mut samples = vec![Vec::new(); names.len()];
    for round in 1..=args.rounds {
        for (i, name) in names.iter().enumerate() {
            let command = match (VARIANTS.get(i), &args.pytorch) {
                (Some(of), _) => example("run", EXAMPLE, of.backend, Some(of.name)),
                (None, Some(python)) => script(python),
                (None, None) => continue,
            };
            let sample = Sample::of(command)?;
            eprintln!(
                "round {round}  {name:34} {:.3} s/step  {} MB",
                sample.seconds,
                megabytes(sample.peak_kib)
            );
            samples[i].push(sample);
        }
    }
    print_table(args.rounds, &names, &samples)
}

fn print_table(rounds: u32, names: &[&str], samples: &[Vec<Sample>]) -> io::Result<bool> {
    let none = || io::Error::other("no samples");
    let figures = samples
        .iter()
        .map(|of| {
            let seconds = median(of.iter().map(|sample| sample.seconds))?;
            let peak = of.iter().map(|sample| sample.peak_kib).max()?;
            Some((seconds, peak, of.first()?.trainable))
        })
        .collect::<Option<Vec<_>>>()
        .ok_or_else(none)?;
    let burn = figures[1];
    println!(
        "\n8-layer Llama, d=512, ff=1536, vocabulary 8000, 4 x 128 tokens, r=8 on all seven projections, f32, flex with x86-v4."
    );
    println!(
        "{}. Median of 12 steps after 2 warm-ups, then of {rounds} processes; the largest peak RSS.\n",
        machine()
    );
    println!(
        "| | s/step | range | speed / `apply_lora` | peak RSS | memory / `apply_lora` | trainable |"
    );
    println!("|---|---|---|---|---|---|---|");
    for ((name, (seconds, peak, trainable)), of) in names.iter().zip(&figures).zip(samples) {
        let all = || of.iter().map(|sample| sample.seconds);
        println!(
            "| {name} | {seconds:.3} | {:.3} to {:.3} | {:.2} | {} MB | {:.2} | {trainable} |",
            all().fold(f64::INFINITY, f64::min),
            all().fold(0.0, f64::max),
            burn.0 / seconds,
            megabytes(*peak),
            *peak as f64 / burn.1 as f64,
        );
    }
    let ours = figures[0];
    let speed_up = burn.0 / ours.0;
    let holds = speed_up >= REQUIRED_SPEED_UP && ours.1 <= burn.1;
    let verdict = if holds { "holds" } else { "FAILS" };
    println!(
        "\nat least {REQUIRED_SPEED_UP} times as fast as `apply_lora` at no more memory: {verdict} ({speed_up:.2} times)"
    );
    Ok(holds)
}

fn script(python: &PathBuf) -> Command {
    let mut command = Command::new(python);
    command
        .arg("tests/bench/pytorch_lora.py")
        .current_dir(root());
    command
}
