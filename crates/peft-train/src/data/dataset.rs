//! [`Dataset`]: the rows of a JSONL file.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use peft_files::Lines;

use super::container;
use super::{Label, LabelName, Row, RowKind};
use crate::TrainError;
use crate::error::BadRow;

/// How many bad rows are named in one error.
const NAMED: usize = 20;

/// How many columns that nothing reads are named.
const COLUMNS: usize = 50;

/// The longest line, in bytes: far more than the text of any row, and no more than what is held at
/// once.
pub const LONGEST_ROW: usize = 64 << 20;

/// As much of a reason is shown, in characters: it may repeat what a row has.
const REASON: usize = 500;

/// The rows of a JSONL file, all of one kind.
#[derive(Debug, Clone)]
pub struct Dataset {
    path: PathBuf,
    kind: RowKind,
    rows: Vec<Row>,
    lines: Vec<usize>,
    left_alone: Vec<String>,
}

impl Dataset {
    /// Read a JSONL file: one object a line of at most [`LONGEST_ROW`] bytes, empty lines passed
    /// over.
    ///
    /// # Errors
    ///
    /// A [`TrainError`]; bad rows are reported together, by line.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, TrainError> {
        let path = path.as_ref().to_path_buf();
        let io = |source| TrainError::Io {
            action: "read",
            path: path.clone(),
            source,
        };
        if path.is_dir() {
            return Err(TrainError::NoRows {
                path,
                found: "a directory",
            });
        }
        let file = peft_files::open(&path).map_err(io)?;
        let mut reader = BufReader::new(file);
        if let Some(found) = container::of(reader.fill_buf().map_err(io)?) {
            return Err(TrainError::NoRows { path, found });
        }
        let mut rows: Vec<Row> = Vec::new();
        let mut left_alone: Vec<String> = Vec::new();
        let mut seen = HashSet::new();
        let mut lines = Vec::new();
        let mut bad = WrongRows::default();
        for (i, line) in Lines::new(reader, LONGEST_ROW).enumerate() {
            let Some(line) = line.map_err(io)? else {
                // What follows may go on as long, and is not looked at.
                bad.add(
                    i + 1,
                    format!("is longer than {} MiB, which no row is", LONGEST_ROW >> 20),
                );
                break;
            };
            let parsed = match std::str::from_utf8(&line) {
                // Some editors begin a file with a byte-order mark.
                Ok(text) => match text.trim_start_matches('\u{feff}').trim() {
                    "" => continue,
                    text => Row::parse(text),
                },
                Err(_) => Err("is not UTF-8".into()),
            };
            let parsed = parsed.and_then(|(row, more)| match rows.first() {
                Some(first) if first.kind() != row.kind() => Err(format!(
                    "is {}, but the rows before are {}; one file holds one kind",
                    row.kind().keys(),
                    first.kind().keys()
                )),
                _ => Ok((row, more)),
            });
            match parsed {
                Ok((row, more)) => {
                    for key in more {
                        if seen.insert(key.clone()) && left_alone.len() < COLUMNS {
                            left_alone.push(key);
                        }
                    }
                    rows.push(row);
                    lines.push(i + 1);
                }
                Err(reason) => bad.add(i + 1, reason),
            }
        }
        if bad.count > 0 {
            return Err(bad.of(path));
        }
        match rows.first().map(Row::kind) {
            None => Err(TrainError::Empty { path }),
            Some(kind) => Ok(Self {
                path,
                kind,
                rows,
                lines,
                left_alone,
            }),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the rows are.
    pub fn kind(&self) -> RowKind {
        self.kind
    }

    /// The rows.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The columns that nothing reads, in the order of the file.
    pub fn left_alone(&self) -> &[String] {
        &self.left_alone
    }

    /// Whether a label or a tag is a string.
    pub fn names_labels(&self) -> bool {
        let named = |label: &LabelName| matches!(label, LabelName::Name(_));
        self.rows.iter().any(|row| match row {
            Row::Labelled { label, .. } => label.names().iter().any(named),
            Row::Tagged { tags, .. } => tags.iter().any(named),
            Row::Text { .. } | Row::Completion { .. } | Row::Chat { .. } | Row::Dialogue { .. } => {
                false
            }
        })
    }

    /// Whether the label of a text is a list.
    pub fn has_lists(&self) -> bool {
        let list = |row: &Row| {
            matches!(
                row,
                Row::Labelled {
                    label: Label::Many(_),
                    ..
                }
            )
        };
        self.rows.iter().any(list)
    }

    /// An error that names some rows together, by index.
    pub(crate) fn refuse(&self, rows: Vec<(usize, String)>) -> TrainError {
        let mut bad = WrongRows::default();
        for (row, reason) in rows {
            bad.add(self.lines[row], reason);
        }
        bad.of(self.path.clone())
    }

    /// An error that names what a task takes instead.
    pub(crate) fn wrong_task(&self, task: &'static str, expected: &'static str) -> TrainError {
        TrainError::WrongTask {
            path: self.path.clone(),
            found: self.kind.keys(),
            task,
            expected,
        }
    }

    /// An error for rows of which none has a target, `truncated` of them cut at the maximal length.
    pub(crate) fn no_targets(&self, truncated: usize, max_length: usize) -> TrainError {
        match truncated {
            0 => TrainError::Targetless {
                path: self.path.clone(),
                reason: self.kind.without_target(),
            },
            _ => TrainError::NoTargets {
                what: self.path.display().to_string(),
                max_length,
            },
        }
    }
}

/// Rows that are wrong: how many there are, and the first of them.
#[derive(Default)]
struct WrongRows {
    count: usize,
    rows: Vec<BadRow>,
}

impl WrongRows {
    fn add(&mut self, line: usize, mut reason: String) {
        self.count += 1;
        if self.rows.len() < NAMED {
            if let Some((end, _)) = reason.char_indices().nth(REASON) {
                reason.truncate(end);
                reason.push_str(" ...");
            }
            self.rows.push(BadRow { line, reason });
        }
    }

    fn of(self, path: PathBuf) -> TrainError {
        TrainError::Rows {
            path,
            count: self.count,
            rows: self.rows,
        }
    }
}
