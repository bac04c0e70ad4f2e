//! `cargo xtask bench plan`: what `peft train` plans of a step, beside what the step takes.
//!
//! Each case is the command itself, as its users run it, for some steps of rows that are all as
//! long as they may be; it writes what it planned and used into its metrics.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::machine;
use super::methods::{field, peft};
use super::train::made;
use super::{WITH_KERNELS, example};
use crate::shell::{cargo, root, status};

/// What to measure on.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A checkpoint directory of a decoder; a random one of SmolLM2-135M's sizes if not given
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Only the cases whose flags contain this
    #[arg(long)]
    only: Option<String>,
}

/// Rows, tokens, flags.
const CASES: [(usize, usize, &str); 46] = [
    (1, 128, ""),
    (2, 256, ""),
    (8, 64, ""),
    (2, 512, ""),
    (1, 1024, ""),
    (2, 256, "--dtype bf16"),
    (2, 512, "--dtype bf16"),
    (2, 256, "--dtype bf16 --quantise q8"),
    (2, 256, "--dtype bf16 --quantise nf4"),
    (2, 512, "--recompute"),
    (1, 2048, "--recompute"),
    (2, 512, "--recompute --dtype bf16"),
    (2, 512, "--recompute --dtype bf16 --quantise nf4"),
    (2, 256, "--rank 64"),
    (2, 256, "--grad-accum 2"),
    (2, 256, "--dropout 0.1"),
    (2, 256, "--targets q_proj,v_proj"),
    (2, 256, "--dora"),
    (2, 256, "--lora-fa"),
    (2, 256, "--method adalora"),
    (2, 256, "--method ia3"),
    (2, 256, "--method prompt-tuning --virtual-tokens 32"),
    (2, 256, "--method p-tuning --virtual-tokens 32"),
    (2, 256, "--method prefix-tuning --virtual-tokens 32"),
    (2, 256, "--method full"),
    (2, 256, "--method full --recompute"),
    (2, 256, "--method top-layers --layers 8"),
    (2, 256, "--method lisa --layers 2 --every 2"),
    (2, 256, "--method loha"),
    (2, 256, "--method lokr"),
    (2, 256, "--method vera"),
    (2, 256, "--method randlora"),
    (2, 256, "--method vblora"),
    (2, 256, "--method oft"),
    (2, 256, "--method boft"),
    (2, 256, "--method hra"),
    (2, 256, "--method road"),
    (2, 256, "--method miss"),
    (2, 256, "--method hira"),
    (2, 256, "--method delora"),
    (2, 256, "--method gralora"),
    (2, 256, "--method shira"),
    (2, 256, "--method fourierft"),
    (2, 256, "--method c3a"),
    (2, 256, "--method waveft"),
    (2, 256, "--method norms"),
];

/// Steps of each: the first one does not count.
const STEPS: usize = 3;

/// What was planned and what was found.
struct Pair {
    planned: f64,
    found: f64,
}

impl Pair {
    fn of(metrics: &str, name: &str) -> Option<Self> {
        let line = metrics.lines().find(|line| line.contains("\"cost\":"))?;
        Some(Self {
            planned: field(line, &format!("planned_{name}"))?,
            found: field(line, name)?,
        })
    }

    fn ratio(&self) -> f64 {
        self.planned / self.found
    }
}

/// Measure and print.
pub(crate) fn run(args: &Args) -> io::Result<bool> {
    if !status(cargo(["build", "--release"]))? {
        return Err(io::Error::other("the command does not build"));
    }
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
    let out = root().join("target/bench-plan");
    fs::create_dir_all(&out)?;
    println!(
        "{}. Planned and found, and the first by the second.\n",
        machine()
    );
    println!("| rows x tokens | flags | memory, MB | | multiply-adds, G | | s/step | |");
    println!("|---|---|---|---|---|---|---|---|");
    let mut worst = [1.0f64; 3];
    let only = |flags: &str| {
        args.only
            .as_ref()
            .is_none_or(|only| flags.contains(only.as_str()))
    };
    for (rows, tokens, flags) in CASES.into_iter().filter(|case| only(case.2)) {
        let metrics = measured(&model, args.model.is_some(), &out, (rows, tokens, flags))?;
        let none = || io::Error::other(format!("`{flags}` planned nothing"));
        let pairs = ["memory", "multiply_adds", "seconds"].map(|name| Pair::of(&metrics, name));
        let mut cells = String::new();
        let shown = [(1e6, 0), (1e9, 1), (1.0, 2)];
        for ((pair, (unit, digits)), worst) in pairs.into_iter().zip(shown).zip(&mut worst) {
            let pair = pair.ok_or_else(none)?;
            let apart = |ratio: f64| ratio.ln().abs();
            if apart(pair.ratio()) > apart(*worst) {
                *worst = pair.ratio();
            }
            cells.push_str(&format!(
                " {:.digits$} / {:.digits$} | {:.2} |",
                pair.planned / unit,
                pair.found / unit,
                pair.ratio()
            ));
        }
        println!("| {rows} x {tokens} | {flags} |{cells}");
    }
    let [memory, products, seconds] = worst;
    println!("\nfarthest: memory {memory:.2}, multiply-adds {products:.3}, time {seconds:.2}");
    Ok(true)
}

/// The metrics of a run.
fn measured(
    model: &Path,
    has_tokenizer: bool,
    out: &Path,
    (rows, tokens, flags): (usize, usize, &str),
) -> io::Result<String> {
    let run = out.join("run");
    if run.exists() {
        fs::remove_dir_all(&run)?;
    }
    let data = out.join("rows.jsonl");
    let row = format!("{{\"text\":\"{}\"}}\n", "what a step costs ".repeat(tokens));
    // Enough for steps of two batches, too.
    fs::write(&data, row.repeat(rows * 2 * STEPS))?;
    let mut train = peft("train", model);
    train.arg("--train").arg(&data).arg("--out").arg(&run);
    let sizes = [
        ("--batch-size", rows),
        ("--max-length", tokens),
        ("--max-steps", STEPS),
    ];
    for (flag, value) in sizes {
        train.arg(flag).arg(value.to_string());
    }
    if !has_tokenizer {
        train
            .arg("--tokenizer")
            .arg(root().join("crates/peft-cli/assets/model"));
    }
    train.args(flags.split_whitespace());
    let output = train
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()?;
    // One whose loss rose ends as a failure, and was measured all the same.
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    if !output.status.success() && !metrics.contains("\"cost\":") {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("`{flags}` failed: {said}")));
    }
    Ok(metrics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_planned_is_told_from_what_was_found() {
        let metrics = "{\"step\":1,\"train\":{\"seconds\":9.0}}\n{\"cost\":{\"memory\":4.0,\"planned_memory\":5.0},\"step\":1}\n";
        let pair = Pair::of(metrics, "memory").expect("both are there");
        assert_eq!((pair.planned, pair.found, pair.ratio()), (5.0, 4.0, 1.25));
        assert!(Pair::of(metrics, "seconds").is_none());
    }
}
