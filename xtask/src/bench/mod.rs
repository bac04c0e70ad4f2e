//! `cargo xtask bench`: measurements, side by side in one run, as ratios on a named machine.

mod at_once;
mod curves;
mod devices;
mod generate;
mod lora;
mod methods;
mod plan;
mod product;
mod sample;
mod train;
mod trunk;

use std::io;
use std::process::Command;

use clap::Subcommand;

use crate::shell::cargo;

/// `flex` with the kernels of this workspace, as the command has it.
const WITH_KERNELS: &str = "flex";
/// `flex` with Burn's operations alone.
const BURN_ALONE: &str = "burn-flex";

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: Benchmark,
}

#[derive(Subcommand)]
enum Benchmark {
    /// Several runs on one base, at once and one after the other
    AtOnce(at_once::Args),
    /// Losses of runs with the base in f32 and in bf16, over seeds
    Curves(curves::Args),
    /// A step whose rows one, two and three devices share: time, time to move, bytes
    Devices(devices::Args),
    /// New tokens a second, of one prompt and of several, beside transformers
    Generate(generate::Args),
    /// A training step: factored LoRA, Burn's apply_lora and full fine-tuning, with the kernels of
    /// this workspace and without
    Lora(lora::Args),
    /// Every method of the command on one task: quality, parameters, time, memory
    Methods(methods::Args),
    /// What a step is planned to cost beside what it costs: memory, multiply-adds, time
    Plan(plan::Args),
    /// Products of matrices beside the processor's peak, in f32 and bf16
    Product(product::Args),
    /// A LoRA step at real sizes: lengths, precisions, time and memory, beside PyTorch
    Train(train::Args),
    /// An epoch of the top layers: with the states below them kept, and without
    Trunk(trunk::Args),
}

/// Run it.
pub(crate) fn run(args: &Args) -> io::Result<bool> {
    match &args.what {
        Benchmark::AtOnce(args) => at_once::run(args),
        Benchmark::Curves(args) => curves::run(args),
        Benchmark::Devices(args) => devices::run(args),
        Benchmark::Generate(args) => generate::run(args),
        Benchmark::Lora(args) => lora::run(args),
        Benchmark::Methods(args) => methods::run(args),
        Benchmark::Plan(args) => plan::run(args),
        Benchmark::Product(args) => product::run(args),
        Benchmark::Train(args) => train::run(args),
        Benchmark::Trunk(args) => trunk::run(args),
    }
}

/// `cargo build` or `cargo run` of a measured program of the suite, on the backend of these
/// features.
fn example(verb: &str, name: &str, backend: &str, variant: Option<&str>) -> Command {
    let mut command = cargo([
        verb,
        "--release",
        "--package=peft-tests",
        &format!("--example={name}"),
        "--no-default-features",
        &format!("--features={backend}"),
    ]);
    if let Some(variant) = variant {
        command.args(["--quiet", "--", variant]);
    }
    command
}

/// Megabytes as in the design's table.
fn megabytes(kib: u64) -> u64 {
    kib * 1024 / 1_000_000
}

/// The processor's name and the cores that this process may use.
fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |key: &str| {
        let line = info.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let name = field("model name").unwrap_or_else(|| "unknown processor".into());
    let avx512 = field("flags").is_some_and(|flags| flags.contains("avx512f"));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let vectors = if avx512 { ", AVX-512" } else { "" };
    format!("{name}, {cores} cores{vectors}")
}
