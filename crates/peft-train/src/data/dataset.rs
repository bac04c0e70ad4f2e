//! [`Dataset`]: the rows of files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use peft_data::{RowPlace, Rows, row_files};
use serde_json::{Map, Value};

use super::shape::{Writing, shaped};
use super::{Label, LabelName, Row, RowKind, RowOptions, TrainTurns};
use crate::TrainError;
use crate::error::BadRow;
use crate::store::ValueStore;

/// How many bad rows are named in one error; others may be wrong by the same.
const NAMED: usize = 20;

/// How many columns that nothing reads are named.
const COLUMNS: usize = 50;

/// As much of a reason is shown, in characters: it may repeat what a row has.
const REASON: usize = 500;

/// The rows of files, all of one kind. The first 64 MiB of them are in memory, the others in a
/// temporary file, which has no name and is gone with the last set that has rows there.
#[derive(Debug, Clone)]
pub struct Dataset {
    name: String,
    files: Vec<PathBuf>,
    kind: RowKind,
    rows: Arc<ValueStore<Row>>,
    /// Which of them these are.
    indices: Vec<usize>,
    /// The file of each row, and where it is there.
    places: Vec<(u32, RowPlace)>,
    left_alone: Vec<String>,
}

impl Dataset {
    /// Read a file, or all files of rows of a directory; see [`read_all`](Self::read_all).
    ///
    /// # Errors
    ///
    /// A [`TrainError`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self, TrainError> {
        Self::read_all(&[path.as_ref().into()], &RowOptions::default())
    }

    /// Read files of rows, and of directories all files of rows in the order of their names: JSONL,
    /// JSON lists, CSV, TSV and Parquet, plain or packed, as [`peft_data`] reads them.
    ///
    /// # Errors
    ///
    /// A [`TrainError`]; bad rows are reported together, by file and line.
    pub fn read_all(paths: &[PathBuf], options: &RowOptions) -> Result<Self, TrainError> {
        Self::read_each(paths, options, |row, writing| {
            Row::of(&shaped(row, writing, options)?, options)
        })
    }

    /// As [`read_all`](Self::read_all), with what `read` makes of an object: a row, and the keys
    /// that it leaves alone.
    pub(super) fn read_each(
        paths: &[PathBuf],
        options: &RowOptions,
        mut read: impl FnMut(Map<String, Value>, Writing) -> Result<(Row, Vec<String>), String>,
    ) -> Result<Self, TrainError> {
        let mut files = Vec::new();
        for path in paths {
            files.extend(row_files(path)?);
        }
        let mut found = Self {
            name: name(paths, files.len()),
            files,
            kind: RowKind::Text,
            rows: Arc::default(),
            indices: Vec::new(),
            places: Vec::new(),
            left_alone: Vec::new(),
        };
        let (mut kept, mut kind) = (ValueStore::default(), None);
        let most = options.max_rows.unwrap_or(usize::MAX);
        let mut bad = WrongRows::default();
        for file in 0..found.files.len() {
            let mut rows = Rows::open(&found.files[file])?;
            let writing = Writing {
                text: rows.is_text(),
                nulls: rows.has_nulls(),
            };
            while kept.len() + bad.count < most
                && let Some(row) = rows.next().transpose()?
            {
                let parsed = row.object.and_then(|row| read(row, writing));
                match parsed.and_then(|(row, more)| Ok((of_one_kind(row, &mut kind)?, more))) {
                    Ok((parsed, more)) => {
                        found.indices.push(kept.len());
                        kept.push(&parsed)?;
                        found.places.push((file as u32, row.at));
                        found.leave_alone(more);
                    }
                    Err(reason) => bad.add(found.named(file), row.at, reason),
                }
            }
        }
        if bad.count > 0 {
            return Err(bad.of(found.name));
        }
        let Some(kind) = kind else {
            return Err(TrainError::Empty { of: found.name });
        };
        (found.kind, found.rows) = (kind, Arc::new(kept));
        found.check_conversations(options)?;
        Ok(found)
    }

    /// An error where options for conversations are given, and there are none.
    fn check_conversations(&self, options: &RowOptions) -> Result<(), TrainError> {
        let (system, last) = (options.system.is_some(), options.turns == TrainTurns::Last);
        match self.kind {
            RowKind::Chat => Ok(()),
            RowKind::Dialogue | RowKind::Instruction if !last => Ok(()),
            _ if last => {
                Err(self.wrong_task("the choice of turns that train", RowKind::Chat.keys()))
            }
            _ if system => Err(self.wrong_task("what the system says", "conversations")),
            _ => Ok(()),
        }
    }

    fn leave_alone(&mut self, columns: Vec<String>) {
        for column in columns {
            if self.left_alone.len() < COLUMNS && !self.left_alone.contains(&column) {
                self.left_alone.push(column);
            }
        }
    }

    /// A file, where it is one of several.
    fn named(&self, file: usize) -> Option<PathBuf> {
        (self.files.len() > 1).then(|| self.files[file].clone())
    }

    /// What the files are called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The files.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Where a row is, by its index: its file, and the place there.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    pub fn place(&self, row: usize) -> (&Path, RowPlace) {
        let (file, at) = self.places[row];
        (&self.files[file as usize], at)
    }

    /// Where a row is, as messages say it: with its file where there are several.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    pub fn shown_place(&self, row: usize) -> String {
        let (file, at) = self.place(row);
        match self.files.len() {
            1 => at.to_string(),
            _ => format!("{}, {at}", file.display()),
        }
    }

    /// Those rows that stay and those that are taken.
    pub(super) fn parted(&self, taken: &[bool]) -> (Self, Self) {
        let part = |kept: bool| Self {
            name: match kept {
                true => self.name.clone(),
                false => format!("the rows split off from {}", self.name),
            },
            files: self.files.clone(),
            kind: self.kind,
            rows: self.rows.clone(),
            indices: Vec::new(),
            places: Vec::new(),
            left_alone: self.left_alone.clone(),
        };
        let (mut stay, mut go) = (part(true), part(false));
        for ((index, place), taken) in self.indices.iter().zip(&self.places).zip(taken) {
            let to = if *taken { &mut go } else { &mut stay };
            to.indices.push(*index);
            to.places.push(*place);
        }
        (stay, go)
    }

    /// What the rows are.
    pub fn kind(&self) -> RowKind {
        self.kind
    }

    /// How many rows there are; at least one.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// A row.
    ///
    /// # Errors
    ///
    /// [`TrainError::Io`] and [`TrainError::RowLost`] of a temporary file.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    pub fn row(&self, row: usize) -> Result<Row, TrainError> {
        self.rows.get(self.indices[row])
    }

    /// The rows, one after the other.
    pub fn rows(&self) -> impl Iterator<Item = Result<Row, TrainError>> {
        self.indices.iter().map(|index| self.rows.get(*index))
    }

    /// Whether what is said holds of any row.
    pub(crate) fn any(&self, holds: impl Fn(&Row) -> bool) -> Result<bool, TrainError> {
        for row in self.rows() {
            if holds(&row?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The columns that nothing reads, in the order of the file.
    pub fn left_alone(&self) -> &[String] {
        &self.left_alone
    }

    /// Whether a label or a tag is a string.
    ///
    /// # Errors
    ///
    /// As [`row`](Self::row).
    pub fn names_labels(&self) -> Result<bool, TrainError> {
        let named = |label: &LabelName| matches!(label, LabelName::Name(_));
        self.any(|row| match row {
            Row::Labelled { label, .. } => label.names().iter().any(named),
            Row::Tagged { tags, .. } => tags.iter().any(named),
            Row::Text { .. }
            | Row::Completion { .. }
            | Row::Chat { .. }
            | Row::Dialogue { .. }
            | Row::Instruction(_) => false,
        })
    }

    /// Whether the label of a text is a list.
    ///
    /// # Errors
    ///
    /// As [`row`](Self::row).
    pub fn has_lists(&self) -> Result<bool, TrainError> {
        let list = |row: &Row| {
            matches!(
                row,
                Row::Labelled {
                    label: Label::Many(_),
                    ..
                }
            )
        };
        self.any(list)
    }

    /// An error that names some rows together, by index.
    pub(crate) fn refuse(&self, rows: Vec<(usize, String)>) -> TrainError {
        let mut bad = WrongRows::default();
        for (row, reason) in rows {
            let (file, at) = self.places[row];
            bad.add(self.named(file as usize), at, reason);
        }
        bad.of(self.name.clone())
    }

    /// An error that names what a task takes instead.
    pub(crate) fn wrong_task(&self, task: &'static str, expected: &'static str) -> TrainError {
        TrainError::WrongTask {
            of: self.name.clone(),
            found: self.kind.keys(),
            task,
            expected,
        }
    }

    /// An error for rows of which none has a target, `truncated` of them cut at the maximal length.
    pub(crate) fn no_targets(&self, truncated: usize, max_length: usize) -> TrainError {
        match truncated {
            0 => TrainError::Targetless {
                of: self.name.clone(),
                reason: self.kind.without_target(),
            },
            _ => TrainError::NoTargets {
                what: self.name.clone(),
                max_length,
            },
        }
    }
}

/// A row of the same kind as those before.
fn of_one_kind(row: Row, kind: &mut Option<RowKind>) -> Result<Row, String> {
    let before = *kind.get_or_insert(row.kind());
    match before == row.kind() {
        true => Ok(row),
        false => Err(format!(
            "is {}, but the rows before are {}; all rows are of one kind",
            row.kind().keys(),
            before.keys()
        )),
    }
}

/// What files are called together.
fn name(paths: &[PathBuf], files: usize) -> String {
    let first = paths.first().map(|path| path.display().to_string());
    let first = first.unwrap_or_default();
    match (paths.len(), files) {
        (1, 1) => first,
        (1, n) => format!("{first} ({n} files)"),
        (_, n) => format!("{first} and more ({n} files)"),
    }
}

/// Rows that are wrong: how many there are, and the first of them.
#[derive(Default)]
struct WrongRows {
    count: usize,
    rows: Vec<BadRow>,
}

impl WrongRows {
    fn add(&mut self, file: Option<PathBuf>, at: RowPlace, mut reason: String) {
        self.count += 1;
        if let Some((end, _)) = reason.char_indices().nth(REASON) {
            reason.truncate(end);
            reason.push_str(" ...");
        }
        let is_same = |row: &&mut BadRow| row.file == file && row.reason == reason;
        if let Some(same) = self.rows.iter_mut().find(is_same) {
            same.more += 1;
        } else if self.rows.len() < NAMED {
            self.rows.push(BadRow {
                file,
                at,
                reason,
                more: 0,
            });
        }
    }

    fn of(self, of: String) -> TrainError {
        TrainError::Rows {
            of,
            count: self.count,
            rows: self.rows,
        }
    }
}
