//! `cargo xtask test`: everything, the cheapest check first, and a table.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use crate::evidence;
use crate::shell::{cargo, lines, status};
use crate::tally::Tally;

/// What to leave out.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Backends to test, comma-separated
    #[arg(long, value_delimiter = ',', default_values = ["flex", "ndarray"])]
    backend: Vec<Backend>,
    /// Leave out clippy and the documentation
    #[arg(long)]
    quick: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Backend {
    Flex,
    Ndarray,
}

impl Backend {
    fn name(self) -> &'static str {
        match self {
            Self::Flex => "flex",
            Self::Ndarray => "ndarray",
        }
    }
}

/// A step of the run.
struct Step {
    name: &'static str,
    passed: bool,
    took: Duration,
}

impl Step {
    fn run(name: &'static str, step: impl FnOnce() -> io::Result<bool>) -> io::Result<Self> {
        let started = Instant::now();
        let passed = step()?;
        let took = started.elapsed();
        Ok(Self { name, passed, took })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = if self.passed { "ok" } else { "FAILED" };
        let seconds = self.took.as_secs_f64();
        write!(f, "{:24} {outcome:8} {seconds:>8.1} s", self.name)
    }
}

/// Run it; whether all passed. A step that fails does not stop the later ones.
pub(crate) fn run(args: &Args) -> io::Result<bool> {
    let mut steps = vec![Step::run("format", || {
        status(cargo(["fmt", "--all", "--check"]))
    })?];
    if !args.quick {
        steps.push(Step::run("clippy", || status(clippy()))?);
        steps.push(Step::run("documentation", || status(documentation()))?);
    }
    evidence::clear()?;
    let mut tally = Tally::default();
    let wanted: Vec<&str> = args.backend.iter().map(|backend| backend.name()).collect();
    let all_backends = Backend::value_variants()
        .iter()
        .all(|backend| args.backend.contains(backend));
    if all_backends {
        let all = ["test", "--workspace", "--no-fail-fast"];
        steps.push(tests("tests", &all, &mut tally)?);
    } else {
        let features = wanted.join(",");
        let suite = [
            "test",
            "--package=peft-tests",
            "--package=peft-conformance",
            "--no-fail-fast",
            "--no-default-features",
            "--features",
            &features,
        ];
        let units = [
            "test",
            "--workspace",
            "--exclude=peft-tests",
            "--exclude=peft-conformance",
            "--no-fail-fast",
        ];
        steps.push(tests("tests of the crates", &units, &mut tally)?);
        steps.push(tests("tests of the suite", &suite, &mut tally)?);
    }
    // What part of a run has verified is no table.
    if all_backends && tally.total().failed == 0 {
        steps.push(Step::run("tables", || tables(&wanted))?);
    }
    Ok(report(&steps, &tally, &wanted))
}

/// The tables of the pages are those of this run.
fn tables(backends: &[&str]) -> io::Result<bool> {
    let faults = evidence::write(backends)?;
    for fault in &faults {
        println!("{fault}");
    }
    Ok(faults.is_empty())
}

/// `cargo clippy` on everything, warnings denied.
pub(crate) fn clippy() -> std::process::Command {
    cargo([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ])
}

fn documentation() -> std::process::Command {
    let mut command = cargo(["doc", "--workspace", "--no-deps"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    command
}

fn tests(name: &'static str, args: &[&str], tally: &mut Tally) -> io::Result<Step> {
    Step::run(name, || {
        let mut command = cargo(args.iter().copied());
        command.env(evidence::VARIABLE, evidence::dir());
        lines(command, |line| tally.line(line))
    })
}

/// Print the table and the totals; whether all passed.
fn report(steps: &[Step], tally: &Tally, wanted: &[&str]) -> bool {
    println!("\n{tally}");
    for step in steps {
        println!("{step}");
    }
    let total = tally.total();
    let mut failed = total.failed;
    for case in tally.failures() {
        println!("failed: {case}");
    }
    // A step of tests that failed by its cases is counted by them; any other step counts once.
    let by_cases = |step: &Step| step.name.starts_with("tests") && total.failed > 0;
    failed += steps
        .iter()
        .filter(|step| !step.passed && !by_cases(step))
        .count();
    for backend in wanted.iter().filter(|backend| tally.ran_on(backend) == 0) {
        println!("failed: no case ran on backend {backend}");
        failed += 1;
    }
    let skipped = match total.ignored {
        0 => String::new(),
        ignored => format!(", {ignored} skipped"),
    };
    println!("\n{} passed, {failed} failed{skipped}", total.passed);
    failed == 0
}
