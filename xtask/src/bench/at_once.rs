//! `cargo xtask bench at-once`: several LoRA runs on one base, at once in one process, beside one
//! after the other and beside processes of their own at the same time: tokens a second and memory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::machine;
use super::methods::field;
use super::sample::median;
use crate::shell::{cargo, root, status};

/// What to measure on.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A checkpoint directory of a decoder, with its tokenizer
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Rows of each run's batch, and their tokens
    #[arg(long, value_delimiter = ',', default_value = "1x32,1x128,4x128")]
    batches: Vec<String>,
    /// How many runs
    #[arg(long, value_delimiter = ',', default_value = "2,4,8")]
    runs: Vec<usize>,
    /// What the base is held in
    #[arg(long, value_delimiter = ',', default_value = "f32,bf16")]
    bases: Vec<String>,
    /// Steps of each run: the first two do not count
    #[arg(long, default_value_t = 8)]
    steps: usize,
    /// A `peft` that is built, in place of building one
    #[arg(long, value_name = "FILE")]
    command: Option<PathBuf>,
}

/// How several runs share a machine.
#[derive(Clone, Copy, PartialEq)]
enum How {
    Apart,
    Processes,
    AtOnce,
}

/// Figures of all runs together.
struct Found {
    tokens_a_second: f64,
    /// The most memory of all processes, in kB, that was there at one time.
    memory: u64,
}

/// Measure and print.
pub(crate) fn run(args: &Args) -> io::Result<bool> {
    let command = match &args.command {
        Some(command) => command.clone(),
        None => match status(cargo(["build", "--release", "--package=peft-cli"]))? {
            true => root().join("target/release/peft"),
            false => return Err(io::Error::other("the command does not build")),
        },
    };
    println!(
        "{}. LoRA at rank 8; the middle step of {} after the second; tokens a second of all runs together, and their memory.\n",
        machine(),
        args.steps
    );
    println!(
        "| base | runs | batch of each | one after the other | processes | at once | by one after the other | memory of one | of processes | at once |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for base in &args.bases {
        for batch in &args.batches {
            for runs in &args.runs {
                let of = |how| measured(args, &command, base, batch, *runs, how);
                let (apart, processes) = (of(How::Apart)?, of(How::Processes)?);
                let once = of(How::AtOnce)?;
                println!(
                    "| {base} | {runs} | {batch} | {:.0} | {:.0} | {:.0} | {:.2} | {} MB | {} MB | {} MB |",
                    apart.tokens_a_second,
                    processes.tokens_a_second,
                    once.tokens_a_second,
                    once.tokens_a_second / apart.tokens_a_second,
                    super::megabytes(apart.memory),
                    super::megabytes(processes.memory),
                    super::megabytes(once.memory),
                );
            }
        }
    }
    Ok(true)
}

fn measured(
    args: &Args,
    command: &Path,
    base: &str,
    batch: &str,
    runs: usize,
    how: How,
) -> io::Result<Found> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidInput, format!("--batches {batch}"));
    let (rows, tokens) = batch.split_once('x').ok_or_else(wrong)?;
    let rows: usize = rows.parse().map_err(|_| wrong())?;
    let tokens: usize = tokens.parse().map_err(|_| wrong())?;
    let out = root().join("target/bench-at-once");
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    fs::create_dir_all(&out)?;
    let row = format!("{{\"text\":\"{}\"}}\n", "what a step costs ".repeat(tokens));
    fs::write(out.join("rows.jsonl"), row.repeat(rows * args.steps))?;
    let files: Vec<PathBuf> = (0..runs)
        .map(|run| out.join(format!("{run}.toml")))
        .collect();
    for (seed, file) in files.iter().enumerate() {
        fs::write(file, format!("seed = {seed}\n"))?;
    }
    let started = |flags: &mut dyn FnMut(&mut Command)| {
        let mut train = Command::new(command);
        train.args(["train", "--rank", "8", "--dtype", base, "--model"]);
        train
            .arg(&args.model)
            .arg("--train")
            .arg(out.join("rows.jsonl"));
        for (flag, value) in [
            ("--batch-size", rows),
            ("--max-length", tokens),
            ("--max-steps", args.steps),
        ] {
            train.arg(flag).arg(value.to_string());
        }
        flags(&mut train);
        train.stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    };
    let alone = |run: usize| {
        started(&mut |train| {
            train.args(["--seed", &run.to_string(), "--out"]);
            train.arg(out.join(run.to_string()));
        })
    };
    let memory = match how {
        How::Apart => most(vec![alone(0)?])?,
        How::Processes => most((0..runs).map(alone).collect::<io::Result<_>>()?)?,
        How::AtOnce => most(vec![started(&mut |train| {
            train.arg("--runs").args(&files).arg("--out").arg(&out);
        })?])?,
    };
    let all = if how == How::Apart { 1 } else { runs };
    let mut seconds = Vec::new();
    for run in 0..all {
        let metrics = fs::read_to_string(out.join(run.to_string()).join("metrics.jsonl"))?;
        let steps = metrics.lines().filter(|line| line.contains("\"train\":"));
        let took = steps.skip(2).filter_map(|line| field(line, "seconds"));
        seconds.extend(median(took));
    }
    let none = || io::Error::other(format!("a run of {batch} made no steps"));
    let step = match seconds.len() == all {
        true => seconds.iter().sum::<f64>() / all as f64,
        false => return Err(none()),
    };
    Ok(Found {
        tokens_a_second: (all * rows * tokens) as f64 / step,
        memory,
    })
}

/// The most memory that processes have at one time until all have ended, in kB.
fn most(mut children: Vec<Child>) -> io::Result<u64> {
    let began = Instant::now();
    let mut most = 0;
    while !children.is_empty() {
        let resident = |child: &Child| {
            let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("VmRSS:"))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        most = most.max(children.iter().filter_map(resident).sum());
        let mut left = Vec::new();
        for mut child in children {
            if child.try_wait()?.is_none() {
                left.push(child);
            }
        }
        children = left;
        if began.elapsed() > Duration::from_secs(1800) {
            children.iter_mut().try_for_each(Child::kill)?;
            return Err(io::Error::other("a run does not end"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(most)
}
