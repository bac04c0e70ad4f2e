//! `cargo xtask test`: everything, the cheapest check first, and a table.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use crate::backend::Backend;
use crate::evidence;
use crate::shell::{cargo, lines, status};
use crate::tally::Tally;

/// What to test.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Backends to test, comma-separated; one that is not there fails the run
    #[arg(long, value_delimiter = ',', default_values = ["flex", "ndarray"])]
    backend: Vec<Backend>,
    /// Leave out clippy and the documentation
    #[arg(long)]
    quick: bool,
    /// Also clippy and the tests of the command's feature `remote`: workers on the loopback
    /// interface, in another build of Burn
    #[arg(long)]
    remote: bool,
}

/// A step of the run.
struct Step {
    name: String,
    passed: bool,
    /// Whether cases failed in it, which count one by one.
    failed_cases: bool,
    took: Duration,
}

impl Step {
    fn run(name: &str, step: impl FnOnce() -> io::Result<bool>) -> io::Result<Self> {
        let started = Instant::now();
        let passed = step()?;
        Ok(Self {
            name: name.into(),
            passed,
            failed_cases: false,
            took: started.elapsed(),
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = if self.passed { "ok" } else { "FAILED" };
        let seconds = self.took.as_secs_f64();
        write!(f, "{:24} {outcome:8} {seconds:>8.1} s", self.name)
    }
}

/// A run so far.
#[derive(Default)]
struct Run {
    steps: Vec<Step>,
    tally: Tally,
    /// The backends that are not there, each with the reason.
    absent: Vec<(Backend, String)>,
}

/// Run it; whether all passed. A step that fails does not stop the later ones.
pub(crate) fn run(args: &Args) -> io::Result<bool> {
    let mut run = Run::default();
    run.step("format", || status(cargo(["fmt", "--all", "--check"])))?;
    if !args.quick {
        run.step("clippy", || status(clippy()))?;
        run.step("documentation", || status(documentation()))?;
    }
    evidence::clear()?;
    // Each once, however often it is named.
    let all = Backend::value_variants().iter().copied();
    let wanted: Vec<Backend> = all.filter(|of| args.backend.contains(of)).collect();
    let (cores, devices): (Vec<Backend>, Vec<Backend>) =
        wanted.iter().partition(|backend| backend.on_cores());
    if !cores.is_empty() {
        run.on_cores(&cores)?;
    }
    for backend in devices {
        run.on_device(backend)?;
    }
    if args.remote {
        run.step("clippy of remote", || status(cargo(REMOTE_CLIPPY)))?;
        run.tests("tests of remote", &REMOTE, CORES)?;
    }
    Ok(run.report(&wanted))
}

impl Run {
    fn step(&mut self, name: &str, step: impl FnOnce() -> io::Result<bool>) -> io::Result<()> {
        self.steps.push(Step::run(name, step)?);
        Ok(())
    }

    /// A step of tests, whose cases leave their evidence in the directory of this name; whether all
    /// passed.
    fn tests(&mut self, name: &str, args: &[&str], evidence: &str) -> io::Result<bool> {
        let mut command = cargo(args.iter().copied());
        command.env(evidence::VARIABLE, evidence::dir(evidence)?);
        let before = self.tally.total().failed;
        let tally = &mut self.tally;
        let mut step = Step::run(name, || lines(command, |line| tally.line(line)))?;
        step.failed_cases = self.tally.total().failed > before;
        let passed = step.passed;
        self.steps.push(step);
        Ok(passed)
    }

    /// The tests of the crates and the suite; and, where that is all of it, the tables.
    fn on_cores(&mut self, backends: &[Backend]) -> io::Result<()> {
        let all = Backend::value_variants();
        let all: Vec<Backend> = all.iter().copied().filter(|of| of.on_cores()).collect();
        if all.iter().all(|backend| backends.contains(backend)) {
            let workspace = ["test", "--workspace", "--no-fail-fast"];
            // What part of a run has verified is no table.
            if self.tests("tests", &workspace, CORES)? {
                let names: Vec<&str> = all.iter().map(|backend| backend.name()).collect();
                self.step("tables", || faultless(evidence::write(CORES, &names)))?;
            }
            return Ok(());
        }
        let units = [
            "test",
            "--workspace",
            "--exclude=peft-tests",
            "--exclude=peft-conformance",
            "--no-fail-fast",
        ];
        self.tests("tests of the crates", &units, CORES)?;
        let names: Vec<&str> = backends.iter().map(|backend| backend.name()).collect();
        self.tests("tests of the suite", &suite(&names.join(",")), CORES)?;
        Ok(())
    }

    /// The suite, in a build of its own, if the device is there.
    fn on_device(&mut self, backend: Backend) -> io::Result<()> {
        let name = backend.name();
        let found = match backend.probe()? {
            Ok(found) => found,
            Err(reason) => {
                println!("{name}: not there: {reason}");
                self.absent.push((backend, reason));
                return Ok(());
            }
        };
        println!("{name}: {}, with {}", found.device, found.floats);
        if self.tests(&format!("tests on {name}"), &suite(name), name)? {
            evidence::record(name, &found, self.tally.ran_on(name))?;
        }
        Ok(())
    }

    /// Print the table and the totals; whether all passed.
    fn report(&self, wanted: &[Backend]) -> bool {
        println!("\n{}", self.tally);
        for step in &self.steps {
            println!("{step}");
        }
        let total = self.tally.total();
        for case in self.tally.failures() {
            println!("failed: {case}");
        }
        // A step that failed by its cases is counted by them; any other counts once.
        let steps = self.steps.iter();
        let steps = steps.filter(|step| !step.passed && !step.failed_cases);
        let mut failed = total.failed + steps.count();
        for backend in wanted {
            let absent = self.absent.iter().find(|(absent, _)| absent == backend);
            if let Some((_, reason)) = absent {
                println!("failed: {}: not there: {reason}", backend.name());
            } else if self.tally.ran_on(backend.name()) == 0 {
                println!("failed: no case ran on backend {}", backend.name());
            } else {
                continue;
            }
            failed += 1;
        }
        let skipped = match total.ignored {
            0 => String::new(),
            ignored => format!(", {ignored} skipped"),
        };
        println!("\n{} passed, {failed} failed{skipped}", total.passed);
        failed == 0
    }
}

/// The directory of evidence of the backends that are always there.
const CORES: &str = "cores";

/// The arguments that run the tests of workers. Features are one set in a build of the whole
/// workspace, and with this one Burn is another build for every member: hence apart.
const REMOTE: [&str; 6] = [
    "test",
    "--package=peft-cli",
    "--features=remote",
    "--no-fail-fast",
    "--lib",
    "--test=remote",
];

/// The arguments that check their sources.
const REMOTE_CLIPPY: [&str; 9] = [
    "clippy",
    "--package=peft-cli",
    "--features=remote",
    "--lib",
    "--bins",
    "--test=remote",
    "--",
    "-D",
    "warnings",
];

/// The arguments that run the suite on these backends and on no other.
fn suite(features: &str) -> [&str; 7] {
    [
        "test",
        "--package=peft-tests",
        "--package=peft-conformance",
        "--no-fail-fast",
        "--no-default-features",
        "--features",
        features,
    ]
}

/// What is wrong with a page is printed; whether nothing is.
fn faultless(faults: io::Result<Vec<String>>) -> io::Result<bool> {
    let faults = faults?;
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
