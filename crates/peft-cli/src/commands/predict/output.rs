//! [`Output`]: the lines of a run, which goes on where it ended.

use std::fs::{self, File};
use std::io::{BufReader, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use peft_core::Digest;
use peft_files::Lines;
use peft_train::Questions;
use serde_json::{Map, Value, json};

use crate::args::PredictArgs;
use crate::error::CliError;

/// The longest line, in bytes: a row and what is said to it.
const LONGEST: usize = 128 << 20;

/// The most that a file of settings is.
const SETTINGS: u64 = 1 << 20;

/// All that decides the lines of a run.
pub(super) struct Settings(Map<String, Value>);

impl Settings {
    pub(super) fn of(
        args: &PredictArgs,
        questions: &Questions,
        more: Value,
    ) -> Result<Self, CliError> {
        let model = &args.model;
        let mut all = json!({
            "model": whole(&model.model)?,
            "files of the model": files(&model.model)?,
            "tokenizer": model.tokenizer.as_deref().map(whole).transpose()?,
            "adapter": args.adapter.as_deref().map(whole).transpose()?,
            "files of the adapter": args.adapter.as_deref().map(files).transpose()?,
            "device": model.device,
            "dtype": model.dtype,
            "quantise": model.quantise,
            "quantise_embeddings": model.quantise_embeddings,
            "rows": questions.digest().to_string(),
            "reading of rows": args.rows,
        });
        let mut settings = all.as_object_mut().map(std::mem::take).unwrap_or_default();
        if let Value::Object(more) = more {
            settings.extend(more);
        }
        Ok(Self(settings))
    }

    /// What is otherwise in others.
    fn differences(&self, others: &Map<String, Value>) -> Vec<String> {
        let differ = |(key, value): (&String, &Value)| {
            (others.get(key) != Some(value)).then(|| format!("`{key}`"))
        };
        self.0.iter().filter_map(differ).collect()
    }
}

/// A path that is the same from every directory.
fn whole(path: &Path) -> Result<PathBuf, CliError> {
    fs::canonicalize(path).map_err(io("read", path))
}

/// A number that tells the files of a directory, or a file, from what they were before: by names,
/// lengths and times.
fn files(path: &Path) -> Result<String, CliError> {
    let mut paths = vec![path.to_path_buf()];
    if path.is_dir() {
        let entries = fs::read_dir(path).map_err(io("read", path))?.flatten();
        paths = entries.map(|entry| entry.path()).collect();
        paths.sort();
    }
    let mut digest = Digest::default();
    for path in paths.iter().filter(|path| path.is_file()) {
        let meta = fs::metadata(path).map_err(io("read", path))?;
        let changed = meta.modified().ok();
        let changed = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        digest.add_bytes(path.file_name().unwrap_or_default().as_encoded_bytes());
        digest.add(meta.len());
        digest.add(changed.map_or(0, |time| time.as_nanos() as u64));
    }
    Ok(digest.to_string())
}

/// The lines of a run, which the file alone has.
pub(super) struct Output {
    path: PathBuf,
    file: File,
    /// How many lines there are.
    len: usize,
}

/// Lines, read one after the other.
pub(super) type SaidLines<'a> = dyn Iterator<Item = Result<Map<String, Value>, CliError>> + 'a;

impl Output {
    /// The file of a run with these settings: a new one, or one to go on with, whose last line is
    /// cut off where it is not whole.
    pub(super) fn open(path: &Path, settings: &Settings, rows: usize) -> Result<Self, CliError> {
        let beside = settings_of(path);
        if !path.exists() {
            if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
                fs::create_dir_all(dir).map_err(io("make", dir))?;
            }
            let text = format!("{:#}\n", json!(settings.0));
            peft_files::replace(&beside, text.as_bytes()).map_err(io("write", &beside))?;
            let mut file = File::options();
            let file = file.read(true).write(true).create_new(true).open(path);
            return Self::locked(path, file.map_err(io("write", path))?);
        }
        let before = peft_files::read_text(&beside, SETTINGS).map_err(|source| {
            match source.kind() {
                ErrorKind::NotFound => CliError::Usage(format!(
                    "{} exists already, and {} is not beside it, which would say that it is an unfinished output to go on with; name another file",
                    path.display(),
                    beside.display()
                )),
                _ => io("read", &beside)(source),
            }
        })?;
        let other = |what: String| {
            CliError::Usage(format!(
                "{} {what}; name another file, or remove it and {} to begin anew",
                path.display(),
                beside.display()
            ))
        };
        let before: Map<String, Value> = serde_json::from_str(&before)
            .map_err(|_| other("has settings beside it that cannot be read".into()))?;
        let differences = settings.differences(&before);
        if !differences.is_empty() {
            let differences = differences.join(", ");
            return Err(other(format!(
                "was begun with other settings: {differences}"
            )));
        }
        let file = File::options().read(true).write(true).open(path);
        let mut output = Self::locked(path, file.map_err(io("write", path))?)?;
        let mut end = 0;
        let length = output.file.metadata().map_err(io("read", path))?.len();
        for line in Lines::new(BufReader::new(&output.file), LONGEST) {
            let line = line.map_err(io("read", path))?.unwrap_or_default();
            let behind = end + line.len() as u64 + 1;
            if behind > length {
                break;
            }
            let number = output.len + 1;
            let read: Option<Map<String, Value>> = serde_json::from_slice(&line).ok();
            let read = read.filter(|line| line.get("row") == Some(&json!(number)));
            if read.is_none() || number > rows {
                return Err(other(format!(
                    "has a line {number} that is not row {number}"
                )));
            }
            output.len = number;
            end = behind;
        }
        output.file.set_len(end).map_err(io("write", path))?;
        output
            .file
            .seek(SeekFrom::End(0))
            .map_err(io("write", path))?;
        Ok(output)
    }

    fn locked(path: &Path, file: File) -> Result<Self, CliError> {
        match file.try_lock() {
            Err(fs::TryLockError::WouldBlock) => Err(CliError::Usage(format!(
                "{} is being written by another process",
                path.display()
            ))),
            // Where there are no locks, nothing is told.
            Ok(()) | Err(fs::TryLockError::Error(_)) => Ok(Self {
                path: path.into(),
                file,
                len: 0,
            }),
        }
    }

    /// How many lines there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// All lines that there are, read again from the file when no more are to come.
    pub(super) fn lines(
        mut self,
    ) -> Result<impl Iterator<Item = Result<Map<String, Value>, CliError>>, CliError> {
        let path = self.path;
        self.file.rewind().map_err(io("read", &path))?;
        let lines = Lines::new(BufReader::new(self.file), LONGEST).take(self.len);
        Ok(lines.map(move |line| {
            let line = line.map_err(io("read", &path))?.unwrap_or_default();
            let wrong = |source: serde_json::Error| io("read", &path)(source.into());
            serde_json::from_slice(&line).map_err(wrong)
        }))
    }

    /// More lines, in one piece.
    pub(super) fn write(&mut self, lines: &[Map<String, Value>]) -> Result<(), CliError> {
        let text: String = lines
            .iter()
            .map(|line| format!("{}\n", json!(line)))
            .collect();
        let written = self.file.write_all(text.as_bytes());
        written.map_err(io("write", &self.path))?;
        self.len += lines.len();
        Ok(())
    }
}

/// The file of settings of an output.
fn settings_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".settings.json");
    path.with_file_name(name)
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> CliError {
    let path = path.to_path_buf();
    move |source| CliError::Io {
        action,
        path,
        source,
    }
}
