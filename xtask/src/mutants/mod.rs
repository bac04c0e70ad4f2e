//! `cargo xtask mutants`: deliberate faults, one at a time, each of which must turn its cases red.
//!
//! They are put into a copy of the tree under `target/mutants`, which has builds of its own: the
//! sources and the builds of the tree itself stay as they are. A build of a dependency is taken
//! from there, by a link, where there is one.

mod copy;
mod faults;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::shell::{cargo, root};
use faults::{Fault, all};

/// Which faults.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only the faults whose name holds one of these
    names: Vec<String>,
    /// Print the faults and their cases, and run nothing
    #[arg(long)]
    list: bool,
}

/// What became of a fault.
enum Outcome {
    /// Every one of its cases was red.
    Caught,
    /// These were not.
    Green(Vec<&'static str>),
    /// The text that it replaces is not there once.
    NotFound(usize),
    /// It does not build; the first error.
    NoBuild(String),
}

/// Run it; whether each fault was caught.
pub(crate) fn run(args: &Args) -> io::Result<bool> {
    let wanted = |fault: &&Fault| {
        let named = |name: &String| fault.name.contains(name.as_str());
        args.names.is_empty() || args.names.iter().any(named)
    };
    let faults: Vec<&Fault> = all().filter(wanted).collect();
    if faults.is_empty() {
        println!("no fault of that name; there are:");
        all().for_each(|fault| println!("  {}", fault.name));
        return Ok(false);
    }
    if args.list {
        for fault in faults {
            println!(
                "{} ({})\n  {}",
                fault.name,
                fault.file,
                fault.cases.join("\n  ")
            );
        }
        return Ok(true);
    }
    let place = root().join("target").join("mutants");
    let (tree, builds) = (place.join("tree"), place.join("builds"));
    copy::tree(&root(), &tree)?;
    copy::dependencies(&root().join("target").join("debug"), &builds.join("debug"))?;
    let suite = Suite { tree, builds };

    // Without a fault every case is there, and green: a case that is red anyway shows nothing.
    let cases: Vec<&str> = faults
        .iter()
        .flat_map(|fault| fault.cases)
        .copied()
        .collect();
    let programs = match suite.build()? {
        Ok(programs) => programs,
        Err(error) => {
            println!("the tree does not build: {error}");
            return Ok(false);
        }
    };
    let before = suite.run(&programs, &cases)?;
    let unsound = cases
        .iter()
        .filter(|case| before.get(**case) != Some(&true));
    let unsound: Vec<_> = unsound.collect();
    if !unsound.is_empty() {
        println!("not there, or red without a fault: {unsound:?}");
        return Ok(false);
    }

    let width = faults
        .iter()
        .map(|fault| fault.name.len())
        .max()
        .unwrap_or(0);
    let mut caught = 0;
    for fault in &faults {
        let started = Instant::now();
        let outcome = suite.try_fault(fault)?;
        let seconds = started.elapsed().as_secs_f64();
        let said = match &outcome {
            Outcome::Caught => format!("caught by {}", fault.cases.join(", ")),
            Outcome::Green(cases) => format!("NOT CAUGHT by {}", cases.join(", ")),
            Outcome::NotFound(times) => {
                format!("NOT APPLIED: its text is {times} times in {}", fault.file)
            }
            Outcome::NoBuild(error) => format!("NOT BUILT: {error}"),
        };
        println!("{:width$}  {seconds:>5.0} s  {said}", fault.name);
        caught += usize::from(matches!(outcome, Outcome::Caught));
    }
    println!("\n{caught} of {} faults caught", faults.len());
    Ok(caught == faults.len())
}

/// The copy of the tree and its builds.
struct Suite {
    tree: PathBuf,
    builds: PathBuf,
}

impl Suite {
    /// Build the tests: their programs, or the first error.
    fn build(&self) -> io::Result<Result<Vec<PathBuf>, String>> {
        let tests = ["--test", "suite", "--test", "seeds"];
        let args = ["test", "--workspace", "--no-run"];
        let output = cargo(args.into_iter().chain(tests))
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.builds)
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() {
            let error = said.lines().find(|line| line.starts_with("error"));
            return Ok(Err(error.unwrap_or(&said).to_owned()));
        }
        let programs = said.lines().filter_map(program);
        Ok(Ok(programs.map(|path| self.tree.join(path)).collect()))
    }

    /// Whether each of these cases is green, by name; one that did not run is not there.
    fn run(&self, programs: &[PathBuf], cases: &[&str]) -> io::Result<BTreeMap<String, bool>> {
        let mut outcomes = BTreeMap::new();
        for program in programs {
            let output = Command::new(program)
                .args(["--exact", "--test-threads=2"])
                .args(cases)
                .current_dir(self.tree.join("tests"))
                .output()?;
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            outcomes.extend(said.lines().filter_map(outcome));
        }
        Ok(outcomes)
    }

    /// Build and run its cases with a fault, and take it out again.
    fn try_fault(&self, fault: &Fault) -> io::Result<Outcome> {
        let file = self.tree.join(fault.file);
        let sound = fs::read_to_string(&file)?;
        let times = sound.matches(fault.text).count();
        if times != 1 {
            return Ok(Outcome::NotFound(times));
        }
        let restore = Restore {
            file: &file,
            text: &sound,
        };
        fs::write(&file, sound.replace(fault.text, fault.instead))?;
        let programs = match self.build()? {
            Ok(programs) => programs,
            Err(error) => return Ok(Outcome::NoBuild(error)),
        };
        let after = self.run(&programs, fault.cases)?;
        drop(restore);
        let green = fault.cases.iter().copied();
        let green: Vec<_> = green
            .filter(|case| after.get(*case) != Some(&false))
            .collect();
        Ok(match green.is_empty() {
            true => Outcome::Caught,
            false => Outcome::Green(green),
        })
    }
}

/// Writes a file as it was, whatever happens.
struct Restore<'a> {
    file: &'a Path,
    text: &'a str,
}

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        if let Err(error) = fs::write(self.file, self.text) {
            eprintln!("{}: {error}", self.file.display());
        }
    }
}

/// The program of a line of `cargo test --no-run`.
fn program(line: &str) -> Option<&str> {
    let (_, path) = line
        .trim_start()
        .strip_prefix("Executable ")?
        .rsplit_once('(')?;
    path.strip_suffix(')')
}

/// The case of a line of a program of tests, and whether it is green.
fn outcome(line: &str) -> Option<(String, bool)> {
    let (name, outcome) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    match outcome {
        "ok" => Some((name.into(), true)),
        "FAILED" => Some((name.into(), false)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quick, so that a change of the sources says at once which fault it outdates.
    #[test]
    fn every_fault_can_be_applied() -> io::Result<()> {
        for fault in all() {
            let text = fs::read_to_string(root().join(fault.file))?;
            assert_eq!(text.matches(fault.text).count(), 1, "{}", fault.name);
            assert!(
                !fault.cases.is_empty() && fault.text != fault.instead,
                "{}",
                fault.name
            );
            let same = all().filter(|other| other.name == fault.name);
            assert_eq!(same.count(), 1, "{}", fault.name);
        }
        Ok(())
    }

    #[test]
    fn a_line_is_a_program() {
        let line = "  Executable tests/suite.rs (/a/deps/suite-0123)";
        assert_eq!(program(line), Some("/a/deps/suite-0123"));
        assert_eq!(program("    Finished `test` profile"), None);
    }

    #[test]
    fn a_line_is_a_case() {
        let red = Some(("a::flex::b".to_owned(), false));
        assert_eq!(outcome("test a::flex::b ... FAILED"), red);
        assert_eq!(outcome("test result: ok. 1 passed; 0 failed"), None);
        assert_eq!(outcome("running 2 tests"), None);
    }
}
