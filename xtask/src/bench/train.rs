//! `cargo xtask bench train`: a step of LoRA, or of other methods, at the sizes that people
//! fine-tune at, beside PyTorch and PEFT on the same checkpoint and tokens.
//!
//! Each row is a process of its own, for its peak memory; the rows take turns, so that a machine
//! that slows down slows all of them.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::sample::{Sample, median};
use super::{WITH_KERNELS, example, machine, megabytes};
use crate::shell::{root, status};

const EXAMPLE: &str = "bench_train";

/// How to measure.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A checkpoint directory of a decoder; a random one of this shape if not given
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// The sizes of the random checkpoint: smollm2-135m, qwen2.5-0.5b or qwen2.5-1.5b
    #[arg(long, default_value = "smollm2-135m", conflicts_with = "model")]
    shape: String,
    /// Batches, as ROWSxTOKENS
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "2x512,1x1024,1x2048,1x4096"
    )]
    batches: Vec<Batch>,
    /// What the base is held in: f32, bf16, or with its linear layers in blocks, q8, nf4,
    /// nf4-double; nf4+ and q8+ have the embedding so too
    #[arg(long, value_delimiter = ',', default_value = "f32,bf16,q8,nf4")]
    bases: Vec<String>,
    /// What trains: lora, dora, adalora, vera, loha, oft; the first is what the others are compared
    /// with
    #[arg(long, value_delimiter = ',', default_value = "lora")]
    methods: Vec<String>,
    /// Turns of every row
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// A Python with torch, transformers and peft: measures the same steps there too
    #[arg(long, value_name = "PYTHON")]
    pytorch: Option<PathBuf>,
}

/// Rows of so many tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Batch {
    rows: usize,
    tokens: usize,
}

impl std::str::FromStr for Batch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('x');
        let parts =
            parts.and_then(|(rows, tokens)| Some((rows.parse().ok()?, tokens.parse().ok()?)));
        match parts {
            Some((rows, tokens)) if rows > 0 && tokens > 1 => Ok(Self { rows, tokens }),
            _ => Err(format!("`{text}` is no batch such as 2x512")),
        }
    }
}

/// Who computes the step.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Framework {
    Ours(&'static str),
    Pytorch(&'static str),
}

impl Framework {
    fn name(self) -> String {
        match self {
            Self::Ours("plain") => "ours".into(),
            Self::Ours(way) => format!("ours, {way}"),
            Self::Pytorch("plain") => "PyTorch + PEFT".into(),
            Self::Pytorch(way) => format!("PyTorch + PEFT, {way}"),
        }
    }
}

/// A row of the table: what is measured, and what it gave.
struct Row {
    method: String,
    batch: Batch,
    base: String,
    who: Framework,
    samples: Vec<Sample>,
}

/// Measure and print.
pub(crate) fn run(args: &Args) -> io::Result<bool> {
    let mut build = example("build", EXAMPLE, WITH_KERNELS, None);
    build.arg("--quiet");
    if !status(build)? {
        return Err(io::Error::other("the benchmark does not build"));
    }
    let model = match &args.model {
        Some(dir) => dir.clone(),
        None => made(&args.shape)?,
    };
    let mut rows = rows(args);
    for round in 1..=args.rounds {
        for row in &mut rows {
            let sample = Sample::of(row.command(&model, args.pytorch.as_deref()))?;
            eprintln!(
                "round {round}  {}  {:.3} s  {} MB  loss {:.4}",
                row.title(),
                sample.seconds,
                megabytes(sample.peak_kib),
                sample.loss.unwrap_or(f64::NAN),
            );
            row.samples.push(sample);
        }
    }
    print_table(args, &rows)
}

fn rows(args: &Args) -> Vec<Row> {
    let mut whos = vec![Framework::Ours("plain"), Framework::Ours("recomputed")];
    if args.pytorch.is_some() {
        whos.extend(["plain", "checkpointed"].map(Framework::Pytorch));
    }
    let mut rows = Vec::new();
    for batch in &args.batches {
        for base in &args.bases {
            let packed = base.starts_with("q8") || base.starts_with("nf4");
            for (i, method) in args.methods.iter().enumerate() {
                let whos = whos.iter().filter(|who| {
                    let (Framework::Ours(way) | Framework::Pytorch(way)) = who;
                    let ours = matches!(who, Framework::Ours(_));
                    // What recomputation costs is no matter of the method.
                    (!packed || ours) && (i == 0 || *way == "plain")
                });
                rows.extend(whos.map(|who| Row {
                    method: method.clone(),
                    batch: *batch,
                    base: base.clone(),
                    who: *who,
                    samples: Vec::new(),
                }));
            }
        }
    }
    rows
}

impl Row {
    fn title(&self) -> String {
        let Batch { rows, tokens } = self.batch;
        let (method, base, who) = (&self.method, &self.base, self.who.name());
        format!("{rows} x {tokens}, {method}, {base}, {who}")
    }

    fn command(&self, model: &Path, python: Option<&Path>) -> Command {
        let [rows, tokens] = [self.batch.rows, self.batch.tokens].map(|n| n.to_string());
        let mut command = match (self.who, python) {
            (Framework::Pytorch(_), Some(python)) => {
                let mut command = Command::new(python);
                command
                    .arg("tests/bench/pytorch_train.py")
                    .current_dir(root());
                command
            }
            _ => Command::new(root().join("target/release/examples").join(EXAMPLE)),
        };
        command.arg(model).args([&rows, &tokens, &self.base]);
        let (Framework::Ours(way) | Framework::Pytorch(way)) = self.who;
        command.args([way, &self.method]);
        command
    }

    /// Whether it is this row of another method or framework.
    fn is(&self, other: &Self, method: &str, who: Framework) -> bool {
        let same = self.batch == other.batch && self.base == other.base;
        same && self.method == method && self.who == who
    }

    fn figures(&self) -> Option<(f64, u64)> {
        let seconds = median(self.samples.iter().map(|sample| sample.seconds))?;
        let peak = self.samples.iter().map(|sample| sample.peak_kib).max()?;
        Some((seconds, peak))
    }
}

/// A random checkpoint of these sizes, made once.
pub(super) fn made(shape: &str) -> io::Result<PathBuf> {
    let dir = root().join("target/bench-train").join(shape);
    if !dir.join("config.json").exists() {
        let mut make = Command::new(root().join("target/release/examples").join(EXAMPLE));
        make.args(["make", shape]).arg(&dir);
        if !status(make)? {
            return Err(io::Error::other("the checkpoint cannot be made"));
        }
    }
    Ok(dir)
}

fn print_table(args: &Args, rows: &[Row]) -> io::Result<bool> {
    let of = match &args.model {
        Some(dir) => dir.file_name().unwrap_or(dir.as_os_str()).to_string_lossy(),
        None => format!("a random model of the shape of {}", args.shape).into(),
    };
    let methods = args.methods.join(", ");
    println!("\nOn all seven projections of {of}: {methods}; AdamW, every token a target.");
    println!(
        "{}. Median of 3 steps after the first, then of {} processes; the largest peak RSS.\n",
        machine(),
        args.rounds
    );
    println!(
        "| batch | base | method | | s/step | tokens/s | floor / time | weights | peak RSS | / PyTorch: time | memory | / {}: time | memory | loss |",
        rows.first().map_or("", |row| &row.method)
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    for row in rows {
        let none = || io::Error::other("no samples");
        let (seconds, peak) = row.figures().ok_or_else(none)?;
        let beside = |method: &str, who| {
            let other = rows.iter().find(|other| other.is(row, method, who));
            match other.and_then(Row::figures) {
                Some((their_seconds, their_peak)) => format!(
                    "{:.2} | {:.2}",
                    seconds / their_seconds,
                    peak as f64 / their_peak as f64
                ),
                None => " | ".into(),
            }
        };
        let pytorch = beside(&row.method, Framework::Pytorch("plain"));
        let of_first = beside(&rows[0].method, row.who);
        let first = row.samples.first().ok_or_else(none)?;
        let floor = first.floor.filter(|floor| *floor > 0.0);
        println!(
            "| {} x {} | {} | {} | {} | {seconds:.2} | {:.0} | {} | {} | {} MB | {pytorch} | {of_first} | {:.4} |",
            row.batch.rows,
            row.batch.tokens,
            row.base,
            row.method,
            row.who.name(),
            (row.batch.rows * row.batch.tokens) as f64 / seconds,
            floor.map_or(String::new(), |floor| format!("{:.2}", floor / seconds)),
            first
                .base_kib
                .map_or(String::new(), |kib| format!("{} MB", megabytes(kib))),
            megabytes(peak),
            first.loss.unwrap_or(f64::NAN),
        );
    }
    println!(
        "\nfloor: the multiply-adds of a step, without those of adapters, at this machine's rate of large f32 products."
    );
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_read() {
        let batch = Batch {
            rows: 2,
            tokens: 512,
        };
        assert_eq!("2x512".parse(), Ok(batch));
        for wrong in ["512", "0x512", "2x1", "2x", "ax2"] {
            assert!(wrong.parse::<Batch>().is_err(), "{wrong}");
        }
    }
}
