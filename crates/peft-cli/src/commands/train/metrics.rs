//! [`Metrics`]: the lines of a run's numbers.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};

use peft_files::Lines;
use serde_json::Value;

use super::run::write;
use super::tensorboard::EventFile;
use crate::error::CliError;
use crate::say::say;

/// One object a line.
const FILE: &str = "metrics.jsonl";
/// The longest line, in bytes: those that are written have a few hundred.
const LONGEST: usize = 1 << 20;
/// Steps whose losses are averaged for the loss at the end.
const RECENT: usize = 20;

/// The file, and what of it the end of a run is judged by.
pub(super) struct Metrics {
    file: File,
    path: PathBuf,
    /// The same for TensorBoard, where it is asked for.
    events: Option<EventFile>,
    /// The loss of the first step.
    pub(super) first: Option<f64>,
    /// Those of the last ones.
    recent: VecDeque<f64>,
    /// The last validation loss.
    pub(super) valid: Option<f64>,
}

/// The lines of a file that are whole.
#[derive(Default)]
struct FoundLines {
    /// Each with its step and its bytes.
    lines: Vec<(u64, Value, Vec<u8>)>,
    damaged: usize,
    /// Whether the last line is one of these: what ended a run may have cut it.
    last_is_damaged: bool,
}

impl FoundLines {
    /// Those of a file; none where there is no file.
    fn read(path: &Path) -> Result<Self, CliError> {
        let failed = |source| CliError::Io {
            action: "read",
            path: path.into(),
            source,
        };
        let file = match peft_files::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(failed(error)),
        };
        let mut found = Self::default();
        for line in Lines::new(BufReader::new(file), LONGEST) {
            let line = line.map_err(failed)?;
            if line.as_ref().is_some_and(Vec::is_empty) {
                continue;
            }
            let whole = line.and_then(|line| {
                let value: Value = serde_json::from_slice(&line).ok()?;
                Some((value["step"].as_u64()?, value, line))
            });
            found.last_is_damaged = whole.is_none();
            found.damaged += usize::from(found.last_is_damaged);
            found.lines.extend(whole);
        }
        Ok(found)
    }
}

/// What a run's metrics hold, for who reads them.
pub(crate) struct ReadMetrics {
    /// One object a step or an evaluation.
    pub(crate) lines: Vec<Value>,
    /// How many lines could not be read.
    pub(crate) damaged: usize,
}

/// The metrics of a run's directory; a run that has not begun has none.
pub(crate) fn read_metrics(dir: &Path) -> Result<ReadMetrics, CliError> {
    let found = FoundLines::read(&dir.join(FILE))?;
    Ok(ReadMetrics {
        lines: found.lines.into_iter().map(|(_, value, _)| value).collect(),
        damaged: found.damaged,
    })
}

impl Metrics {
    /// Those of a directory up to a step: later lines belong to steps that are done again. A line
    /// that is damaged is left out, and said.
    pub(super) fn open(dir: &Path, done: usize, tensorboard: bool) -> Result<Self, CliError> {
        let path = dir.join(FILE);
        let mut found = FoundLines::read(&path)?;
        if found.damaged > usize::from(found.last_is_damaged) {
            let damaged = found.damaged;
            say!("{}: {damaged} damaged lines are left out", path.display());
        }
        found.lines.retain(|(step, ..)| *step <= done as u64);
        let mut kept = Vec::new();
        for (_, _, line) in &found.lines {
            kept.extend(line);
            kept.push(b'\n');
        }
        write(&path, &kept)?;
        let file = OpenOptions::new().append(true).open(&path);
        let events = match tensorboard {
            true => Some(EventFile::open(
                dir,
                found.lines.iter().map(|line| &line.1),
            )?),
            false => None,
        };
        let mut metrics = Self {
            file: file.map_err(|source| CliError::Io {
                action: "open",
                path: path.clone(),
                source,
            })?,
            path,
            events,
            first: None,
            recent: VecDeque::new(),
            valid: None,
        };
        found
            .lines
            .iter()
            .for_each(|(_, line, _)| metrics.note(line));
        Ok(metrics)
    }

    fn note(&mut self, line: &Value) {
        if let Some(loss) = line["train"]["loss"].as_f64() {
            self.first = self.first.or(Some(loss));
            self.recent.push_back(loss);
            if self.recent.len() > RECENT {
                self.recent.pop_front();
            }
        }
        self.valid = line["valid"]["loss"].as_f64().or(self.valid);
    }

    /// Put a line behind the others.
    pub(super) fn add(&mut self, line: &Value) -> Result<(), CliError> {
        self.note(line);
        if let Some(events) = &mut self.events {
            events.add(line)?;
        }
        let path = self.path.clone();
        let written = self.file.write_all(format!("{line}\n").as_bytes());
        written.map_err(|source| CliError::Io {
            action: "write",
            path,
            source,
        })
    }

    /// The mean loss of the last steps.
    pub(super) fn recent(&self) -> Option<f64> {
        let n = self.recent.len();
        (n > 0).then(|| self.recent.iter().sum::<f64>() / n as f64)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_damaged_line_costs_no_other() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(FILE);
        let line = |step: u64| format!("{}\n", json!({"step": step, "train": {"loss": step}}));
        let mut text = line(1).into_bytes();
        text.extend(b"{\"step\": 2, \"tr\xff\n");
        text.extend(vec![b'0'; LONGEST + 2]);
        text.push(b'\n');
        text.extend((2..6).flat_map(|step| line(step).into_bytes()));
        text.extend(b"{\"step\": 6");
        fs::write(&path, text).expect("it is written");
        let mut metrics = Metrics::open(dir.path(), 4, false).expect("it is mended");
        assert_eq!((metrics.first, metrics.recent()), (Some(1.0), Some(2.5)));
        let next = json!({"step": 5, "valid": {"loss": 7.0}});
        metrics.add(&next).expect("it is written");
        assert_eq!(metrics.valid, Some(7.0));
        let lines: String = (1..5).map(line).collect();
        let found = fs::read_to_string(&path).expect("it is read");
        assert_eq!(found, format!("{lines}{next}\n"));
    }
}
