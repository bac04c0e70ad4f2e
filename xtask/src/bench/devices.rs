//! `cargo xtask bench devices`: a step whose rows one, two and three devices share: what it takes
//! in all, in its products, and to move, and the bytes beside what the adapter's size says.
//!
//! The devices are backends of this machine's processor, which share its cores: what is measured is
//! what sharing costs, not what it gains. With `--workers` some are workers on the loopback
//! interface.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use super::machine;
use super::methods::field;
use super::sample::median;
use super::train::made;
use super::{WITH_KERNELS, example};
use crate::shell::{cargo, root, status};

/// What to measure on.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A checkpoint directory of a decoder; a random one of SmolLM2-135M's sizes if not given
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Rows of a batch
    #[arg(long, default_value_t = 8)]
    rows: usize,
    /// Tokens of a row
    #[arg(long, default_value_t = 128)]
    tokens: usize,
    /// Steps of each run: the first one does not count
    #[arg(long, default_value_t = 6)]
    steps: usize,
    /// A `peft` that is built, with the feature `ndarray`, in place of building one
    #[arg(long, value_name = "FILE")]
    command: Option<PathBuf>,
    /// Workers on the loopback interface too: the command has the feature `remote`
    #[arg(long)]
    workers: bool,
}

/// Flags that say who computes.
const LOCAL: [&str; 6] = [
    "--device flex --workers 1",
    "--device ndarray --workers 1",
    "--device flex,flex",
    "--device flex,ndarray",
    "--device flex,flex,ndarray",
    "--device flex,ndarray --split-model",
];

/// Figures of the steps after the first.
struct Steps {
    seconds: f64,
    moving: f64,
    multiply_adds: f64,
    sent: f64,
    received: f64,
    /// Bytes that went to workers and came from them, operations and all; 0 without workers.
    network: [f64; 2],
}

impl Steps {
    fn of(metrics: &str) -> Option<Self> {
        let steps = || metrics.lines().filter(|line| line.contains("\"train\":"));
        let of = |name: &str| {
            let found = |line: &str| field(line, name).unwrap_or(0.0);
            median(steps().skip(1).map(found))
        };
        // The whole run's so far, in each step.
        let so_far = |line: &str, name: &str| {
            let (_, network) = line.split_once("\"network\":")?;
            field(network, name)
        };
        let network = |name: &str| {
            let all: Vec<f64> = steps().filter_map(|line| so_far(line, name)).collect();
            median(all.windows(2).map(|pair| pair[1] - pair[0])).unwrap_or(0.0)
        };
        Some(Self {
            network: ["sent_bytes", "received_bytes"].map(network),
            seconds: of("seconds")?,
            moving: of("moving_seconds")?,
            multiply_adds: of("multiply_adds")?,
            sent: of("sent_bytes")?,
            received: of("received_bytes")?,
        })
    }
}

/// Measure and print.
pub(crate) fn run(args: &Args) -> io::Result<bool> {
    let most = if args.workers { 4 } else { 3 };
    if !(2..=most).all(|devices| all_have_rows(args.rows, devices)) {
        let wrong = format!(
            "--rows {}: of {most} devices or fewer, one would have no row; take 8",
            args.rows
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, wrong));
    }
    let command = match &args.command {
        Some(command) => command.clone(),
        None => built(args.workers)?,
    };
    let model = match &args.model {
        Some(dir) => dir.clone(),
        None => {
            let mut build = example("build", "bench_train", WITH_KERNELS, None);
            build.arg("--quiet");
            if !status(build)? {
                return Err(io::Error::other("the random checkpoint does not build"));
            }
            made("smollm2-135m")?
        }
    };
    let out = root().join("target/bench-devices");
    fs::create_dir_all(&out)?;
    let rate = rate(&command, &model)?;
    println!(
        "{}. LoRA at rank 8, steps of {} rows of {} tokens; the middle one of {} after the first. Products, counted on flex, at {:.1} G multiply-adds a second, as measured before.\n",
        machine(),
        args.rows,
        args.tokens,
        args.steps.saturating_sub(1),
        rate / 1e9,
    );
    println!(
        "| flags | s/step | of it to move | of it in products | sent | by the adapter's size | received | by the adapter's size | all that went to workers | came from them |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let mut right = true;
    let mut row = |flags: &str, shown: &str, others: usize| {
        let found = measured(args, &command, &model, &out, flags)?;
        let bytes = adapter_bytes(&out.join("run/adapter_model.safetensors"))?;
        let expected = bytes * others as f64;
        let ratio = |moved: f64| match others {
            0 => String::new(),
            _ => format!("{:.3}", moved / expected),
        };
        let through = |bytes: f64| match bytes {
            0.0 => String::new(),
            bytes => format!("{:.3} MB", bytes / 1e6),
        };
        right &= others == 0
            || [found.sent, found.received]
                .iter()
                .all(|moved| (moved / expected - 1.0).abs() < 0.1);
        println!(
            "| `{shown}` | {:.3} | {:.3} | {:.3} | {:.3} MB | {} | {:.3} MB | {} | {} | {} |",
            found.seconds,
            found.moving,
            found.multiply_adds / rate,
            found.sent / 1e6,
            ratio(found.sent),
            found.received / 1e6,
            ratio(found.received),
            through(found.network[0]),
            through(found.network[1]),
        );
        Ok::<_, io::Error>(())
    };
    for flags in LOCAL {
        // Those of the first device's own need nothing.
        let others = match flags.contains("--split-model") {
            true => 0,
            false => flags.matches(",ndarray").count(),
        };
        row(flags, flags, others)?;
    }
    if args.workers {
        let mut workers = Vec::new();
        for n in 1..=3 {
            workers.push(Worker::start(&command)?);
            let devices: Vec<&str> = workers.iter().map(|worker| &*worker.device).collect();
            let flags = format!("--device flex,{}", devices.join(","));
            row(&flags, &format!("flex and {n} on loopback"), n)?;
        }
    }
    Ok(right)
}

/// Whether each of so many devices has some of these rows, which are alike and are cut so that the
/// longest share is as short as can be.
fn all_have_rows(rows: usize, devices: usize) -> bool {
    rows > 0 && rows.div_ceil(rows.div_ceil(devices)) == devices
}

/// The command, built with what is measured.
fn built(workers: bool) -> io::Result<PathBuf> {
    let features = match workers {
        true => "--features=ndarray,remote",
        false => "--features=ndarray",
    };
    match status(cargo([
        "build",
        "--release",
        "--package=peft-cli",
        features,
    ]))? {
        true => Ok(root().join("target/release/peft")),
        false => Err(io::Error::other("the command does not build")),
    }
}

/// Multiply-adds of a large f32 product in a second, as `plan` measures them.
fn rate(command: &Path, model: &Path) -> io::Result<f64> {
    let mut plan = Command::new(command);
    plan.args(["plan", "--json", "--model"]).arg(model);
    let output = plan.stderr(Stdio::inherit()).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    field(&said, "of_base").ok_or_else(|| io::Error::other("`peft plan` told no rate"))
}

fn measured(
    args: &Args,
    command: &Path,
    model: &Path,
    out: &Path,
    flags: &str,
) -> io::Result<Steps> {
    let run = out.join("run");
    if run.exists() {
        fs::remove_dir_all(&run)?;
    }
    let data = out.join("rows.jsonl");
    let text = "what a step costs ".repeat(args.tokens);
    let row = format!("{{\"text\":\"{text}\"}}\n");
    fs::write(&data, row.repeat(args.rows * args.steps))?;
    let mut train = Command::new(command);
    train.args(["train", "--rank", "8", "--model"]).arg(model);
    train.arg("--train").arg(&data).arg("--out").arg(&run);
    let sizes = [
        ("--batch-size", args.rows),
        ("--max-length", args.tokens),
        ("--max-steps", args.steps),
    ];
    for (flag, value) in sizes {
        train.arg(flag).arg(value.to_string());
    }
    if args.model.is_none() {
        train
            .arg("--tokenizer")
            .arg(root().join("crates/peft-cli/assets/model"));
    }
    train.args(flags.split_whitespace());
    let output = train
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()?;
    // Rows that teach nothing may end no better than they began.
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    let steps = Steps::of(&metrics).filter(|_| run.join("adapter_model.safetensors").exists());
    steps.ok_or_else(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        io::Error::other(format!("`{flags}` failed: {said}"))
    })
}

/// The bytes of the tensors of a safetensors file: all that is behind its header.
fn adapter_bytes(path: &Path) -> io::Result<f64> {
    let bytes = fs::read(path)?;
    let none = || io::Error::other("the adapter's file has no header");
    let length = bytes.first_chunk::<8>().ok_or_else(none)?;
    let header = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| none())?;
    let tensors = bytes
        .len()
        .checked_sub(8)
        .and_then(|n| n.checked_sub(header));
    Ok(tensors.ok_or_else(none)? as f64)
}

/// A worker on the loopback interface, which ends with the measurement.
struct Worker {
    child: Child,
    device: String,
}

impl Worker {
    fn start(command: &Path) -> io::Result<Self> {
        let mut child = Command::new(command)
            .args(["worker", "--listen", "127.0.0.1:0"])
            .env_remove("PEFT_WORKER_TOKEN")
            .stdout(Stdio::piped())
            .spawn()?;
        let none = || io::Error::other("the worker says no address");
        let mut lines = BufReader::new(child.stdout.take().ok_or_else(none)?);
        let mut said = String::new();
        lines.read_line(&mut said)?;
        // What it says later is taken, so that it can go on.
        thread::spawn(move || io::copy(&mut lines, &mut io::sink()));
        let address = said
            .split("ws://")
            .nth(1)
            .and_then(|of| of.split(',').next());
        let device = format!("remote:ws://{}", address.ok_or_else(none)?);
        Ok(Self { child, device })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_rows_leave_one_of_three_devices_without() {
        assert!([2, 3, 4].iter().all(|n| all_have_rows(8, *n)));
        assert!(all_have_rows(4, 4) && !all_have_rows(4, 3));
        assert!(!all_have_rows(0, 2) && !all_have_rows(6, 4));
    }

    #[test]
    fn the_first_step_does_not_count() {
        let step = |seconds: f64, rest: &str| {
            format!(
                "{{\"step\":1,\"train\":{{\"seconds\":{seconds},\"multiply_adds\":7{rest}}}}}\n"
            )
        };
        let moved = ",\"sent_bytes\":8,\"received_bytes\":9,\"moving_seconds\":0.5";
        let through = |line: String, sent: usize| {
            let network =
                format!(",\"network\":{{\"sent_bytes\":{sent},\"received_bytes\":1}}}}\n");
            line.replace("}\n", &network)
        };
        let metrics = through(step(9.0, ""), 100)
            + &through(step(2.0, moved), 130)
            + "{\"step\":2,\"valid\":{}}\n";
        let found = Steps::of(&metrics).expect("steps");
        assert_eq!((found.seconds, found.moving), (2.0, 0.5));
        assert_eq!((found.sent, found.received), (8.0, 9.0));
        assert_eq!(found.multiply_adds, 7.0);
        assert_eq!(found.network, [30.0, 0.0]);
        let local = Steps::of(&step(9.0, "").repeat(2)).expect("steps");
        assert_eq!(local.network, [0.0, 0.0]);
        assert!(Steps::of("").is_none());
    }
}
