//! [`Tally`]: what `cargo test` printed, counted by suite and backend.

use std::collections::BTreeMap;
use std::fmt;

use clap::ValueEnum;

use crate::backend::Backend;

/// The backend of a test whose path names none.
const OTHER: &str = "other";

/// Cases by how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) ignored: usize,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }

    fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// Counts of a run, fed line by line.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    rows: BTreeMap<(String, &'static str), Counts>,
    failures: Vec<String>,
    suite: String,
    /// Cases of the present binary that had a line of their own.
    seen: Counts,
}

impl Tally {
    /// Take a line of the output.
    pub(crate) fn line(&mut self, line: &str) {
        let trimmed = line.trim_start();
        if let Some(what) = trimmed.strip_prefix("Running ") {
            self.start(binary(what));
        } else if let Some(package) = trimmed.strip_prefix("Doc-tests ") {
            self.start(format!("{package} (doc)"));
        } else if let Some(result) = trimmed.strip_prefix("test result: ") {
            self.finish(result);
        } else if let Some(case) = trimmed.strip_prefix("test ") {
            self.case(case);
        }
    }

    /// All cases.
    pub(crate) fn total(&self) -> Counts {
        let mut total = Counts::default();
        self.rows.values().for_each(|row| total.add(*row));
        total
    }

    /// Cases that ran on a backend.
    pub(crate) fn ran_on(&self, backend: &str) -> usize {
        let on = self.rows.iter().filter(|((_, of), _)| *of == backend);
        on.map(|(_, row)| row.passed + row.failed).sum()
    }

    /// The cases that failed.
    pub(crate) fn failures(&self) -> &[String] {
        &self.failures
    }

    fn start(&mut self, suite: String) {
        self.suite = suite;
        self.seen = Counts::default();
    }

    fn case(&mut self, case: &str) {
        let Some((name, outcome)) = case.rsplit_once(" ... ") else {
            return;
        };
        let mut counts = Counts::default();
        match outcome.split([' ', ',']).next() {
            Some("ok") => counts.passed = 1,
            Some("ignored") => counts.ignored = 1,
            Some("FAILED") => {
                counts.failed = 1;
                self.failures.push(format!("{}: {name}", self.suite));
            }
            _ => return,
        }
        let (module, backend) = place(name);
        let row = match module {
            Some(module) => format!("{}::{module}", self.suite),
            None => self.suite.clone(),
        };
        self.seen.add(counts);
        self.rows.entry((row, backend)).or_default().add(counts);
    }

    /// The harness's own totals; cases whose lines were torn by other output count here.
    fn finish(&mut self, result: &str) {
        let of = |word: &str| -> usize {
            let mut parts = result.split([';', '.']).map(str::trim);
            parts
                .find_map(|part| part.strip_suffix(word)?.trim().parse().ok())
                .unwrap_or(0)
        };
        let torn = Counts {
            passed: of("passed").saturating_sub(self.seen.passed),
            failed: of("failed").saturating_sub(self.seen.failed),
            ignored: of("ignored").saturating_sub(self.seen.ignored),
        };
        self.seen = Counts::default();
        if !torn.is_empty() {
            let row = (self.suite.clone(), OTHER);
            self.rows.entry(row).or_default().add(torn);
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.keys().map(|(suite, _)| suite.len()).max();
        let width = width.unwrap_or(0).max("suite".len());
        writeln!(
            f,
            "{:width$}  {:8} {:>7} {:>7} {:>8}",
            "suite", "backend", "passed", "failed", "ignored"
        )?;
        for ((suite, backend), row) in &self.rows {
            writeln!(
                f,
                "{suite:width$}  {backend:8} {:>7} {:>7} {:>8}",
                row.passed, row.failed, row.ignored
            )?;
        }
        Ok(())
    }
}

/// `peft_core` of `unittests src/lib.rs (target/debug/deps/peft_core-0123456789abcdef)`.
fn binary(what: &str) -> String {
    let path = what.rsplit_once('(').map_or(what, |(_, path)| path);
    let file = path.rsplit(['/', '\\']).next().unwrap_or(path);
    let file = file.trim_end_matches(')').trim_end_matches(".exe");
    let name = file.rsplit_once('-').map_or(file, |(name, _)| name);
    match what.strip_prefix("tests/") {
        Some(_) => format!("{name} (tests)"),
        None => name.into(),
    }
}

/// The modules before the backend's, if there is one, and the backend.
fn place(name: &str) -> (Option<String>, &'static str) {
    // A doc test's name is a path and a line, not modules.
    if name.contains(" - ") && name.contains("(line ") {
        return (None, OTHER);
    }
    let parts: Vec<&str> = name.split("::").collect();
    let found = parts.iter().enumerate().find_map(|(i, part)| {
        let mut backends = Backend::value_variants().iter().map(|of| of.name());
        Some((i, backends.find(|backend| backend == part)?))
    });
    match found {
        Some((0, backend)) => (None, backend),
        Some((i, backend)) => (Some(parts[..i].join("::")), backend),
        None => (None, OTHER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
     Running unittests src/lib.rs (target/debug/deps/peft_core-0123456789abcdef)

running 2 tests
test targets::tests::suffix ... ok
test slot::tests::swap ... ignored, slow

test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s

     Running tests/suite.rs (target/debug/deps/suite-0123456789abcdef)
test lora::flex::merge ... ok
test lora::ndarray::merge ... FAILED
test ia3::flex::paths ... some output that tore the line
test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
   Doc-tests peft_lora
test crates/peft-lora/src/lib.rs - (line 8) ... ok
test crates/peft-lora/src/flex.rs - flex::attach (line 9) - compile ... ok
test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
";

    fn tally() -> Tally {
        let mut tally = Tally::default();
        OUTPUT.lines().for_each(|line| tally.line(line));
        tally
    }

    #[test]
    fn counts_every_case_once() {
        let expected = Counts {
            passed: 5,
            failed: 1,
            ignored: 1,
        };
        assert_eq!(tally().total(), expected);
    }

    #[test]
    fn tells_backends_and_modules_apart() {
        let tally = tally();
        assert_eq!(tally.ran_on("flex"), 1);
        assert_eq!(tally.ran_on("ndarray"), 1);
        let rows: Vec<_> = tally.rows.keys().map(|(s, b)| (s.as_str(), *b)).collect();
        let expected = [
            ("peft_core", "other"),
            ("peft_lora (doc)", "other"),
            ("suite (tests)", "other"),
            ("suite (tests)::lora", "flex"),
            ("suite (tests)::lora", "ndarray"),
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn names_what_failed() {
        assert_eq!(
            tally().failures(),
            ["suite (tests): lora::ndarray::merge".to_owned()]
        );
    }

    #[test]
    fn nothing_ran_on_a_backend_without_cases() {
        let mut tally = Tally::default();
        tally.line("test lora::ndarray::merge ... ignored");
        assert_eq!(tally.ran_on("ndarray"), 0);
    }
}
