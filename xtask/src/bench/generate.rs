//! `cargo xtask bench generate`: greedy continuations of one prompt and of several together, beside
//! transformers on the same checkpoint and prompts.
//!
//! Each row is a process of its own; the rows take turns, so that a machine that slows down slows
//! all of them.

use std::io;
use std::path::PathBuf;
use std::process::Command;

use super::sample::{Sample, median};
use super::{WITH_KERNELS, example, machine, megabytes};
use crate::shell::{root, status};

const EXAMPLE: &str = "bench_generate";

/// How to measure.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A checkpoint directory of a decoder
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Prompts that are continued together
    #[arg(long, value_delimiter = ',', default_value = "1,8")]
    prompts: Vec<usize>,
    /// New tokens of each
    #[arg(long, default_value_t = 128)]
    tokens: usize,
    /// What the base is held in: f32, bf16
    #[arg(long, value_delimiter = ',', default_value = "f32,bf16")]
    dtypes: Vec<String>,
    /// Turns of every row
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// A Python with torch and transformers: measures the same there too
    #[arg(long, value_name = "PYTHON")]
    pytorch: Option<PathBuf>,
}

/// A row of the table: what is measured, and what it gave.
struct Row {
    prompts: usize,
    dtype: String,
    is_ours: bool,
    samples: Vec<Sample>,
    tokens: Vec<u32>,
}

/// Measure and print.
pub(crate) fn run(args: &Args) -> io::Result<bool> {
    let mut build = example("build", EXAMPLE, WITH_KERNELS, None);
    build.arg("--quiet");
    if !status(build)? {
        return Err(io::Error::other("the benchmark does not build"));
    }
    let mut rows = rows(args);
    for round in 1..=args.rounds {
        for row in &mut rows {
            let (sample, tokens) = Sample::with_tokens(row.command(args))?;
            let (title, seconds) = (row.title(), sample.seconds);
            eprintln!("round {round}  {title}  {seconds:.3} s");
            row.samples.push(sample);
            row.tokens = tokens;
        }
    }
    print_table(args, &rows)
}

fn rows(args: &Args) -> Vec<Row> {
    let mut rows = Vec::new();
    for prompts in &args.prompts {
        for dtype in &args.dtypes {
            let whos: &[bool] = match args.pytorch {
                Some(_) => &[true, false],
                None => &[true],
            };
            rows.extend(whos.iter().map(|is_ours| Row {
                prompts: *prompts,
                dtype: dtype.clone(),
                is_ours: *is_ours,
                samples: Vec::new(),
                tokens: Vec::new(),
            }));
        }
    }
    rows
}

impl Row {
    fn title(&self) -> String {
        let who = if self.is_ours { "ours" } else { "transformers" };
        format!("{} prompts, {}, {who}", self.prompts, self.dtype)
    }

    fn command(&self, args: &Args) -> Command {
        let mut command = match &args.pytorch {
            Some(python) if !self.is_ours => {
                let mut command = Command::new(python);
                command
                    .arg("tests/bench/pytorch_generate.py")
                    .current_dir(root());
                command
            }
            _ => Command::new(root().join("target/release/examples").join(EXAMPLE)),
        };
        let numbers = [self.prompts, args.tokens].map(|n| n.to_string());
        command.arg(&args.model).args(numbers).arg(&self.dtype);
        command
    }

    fn seconds(&self) -> Option<f64> {
        median(self.samples.iter().map(|sample| sample.seconds))
    }
}

fn print_table(args: &Args, rows: &[Row]) -> io::Result<bool> {
    let name = args.model.file_name().unwrap_or(args.model.as_os_str());
    println!(
        "\n{} new tokens of each prompt by {}, greedy, behind 32.",
        args.tokens,
        name.to_string_lossy()
    );
    println!(
        "{}. The shortest of 3 times, then the median of {} processes; the largest peak RSS.\n",
        machine(),
        args.rounds
    );
    println!("| prompts | base | | tokens/s | peak RSS | time | tokens in common |");
    println!("|---|---|---|---|---|---|---|");
    for row in rows {
        let none = || io::Error::other("no samples");
        let seconds = row.seconds().ok_or_else(none)?;
        let peak = row.samples.iter().map(|sample| sample.peak_kib).max();
        let theirs = rows.iter().find(|other| {
            !other.is_ours && other.prompts == row.prompts && other.dtype == row.dtype
        });
        let beside = theirs.and_then(|theirs| {
            let same = row.tokens.iter().zip(&theirs.tokens);
            let same = same.filter(|(ours, theirs)| ours == theirs).count();
            Some(format!(
                "{:.2} | {same} of {}",
                seconds / theirs.seconds()?,
                row.tokens.len()
            ))
        });
        println!(
            "| {} | {} | {} | {:.1} | {} MB | {} |",
            row.prompts,
            row.dtype,
            if row.is_ours { "ours" } else { "transformers" },
            (row.prompts * args.tokens) as f64 / seconds,
            megabytes(peak.ok_or_else(none)?),
            beside.unwrap_or_else(|| " | ".into()),
        );
    }
    Ok(true)
}
