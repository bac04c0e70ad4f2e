//! [`EventFile`]: the curves of a run as TensorBoard reads them.
//!
//! The file is a list of records: the length in 8 bytes, its masked CRC-32C, an `Event` of
//! `tensorflow/core/util/event.proto`, and its masked CRC-32C. An event of ours is `wall_time = 1`,
//! `step = 2`, and `file_version = 3` in the first or `summary = 5` in the others, with a
//! `value = 1` of `tag = 1` and `simple_value = 2` for each number.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::error::CliError;

/// In the directory of the run.
const DIR: &str = "tensorboard";
/// TensorBoard knows such a file by its name.
const FILE: &str = "events.out.tfevents.0.peft";

/// The file that events are put behind.
pub(super) struct EventFile {
    file: File,
    path: PathBuf,
}

impl EventFile {
    /// The file of a run, with the events of these lines of its metrics.
    pub(super) fn open<'a>(
        out: &Path,
        lines: impl Iterator<Item = &'a Value>,
    ) -> Result<Self, CliError> {
        let dir = out.join(DIR);
        let path = dir.join(FILE);
        let failed = |action| {
            let path = path.clone();
            move |source| CliError::Io {
                action,
                path,
                source,
            }
        };
        fs::create_dir_all(&dir).map_err(failed("create"))?;
        let mut bytes = record(&event(0, 3, b"brain.Event:2"));
        bytes.extend(lines.flat_map(of_line));
        peft_files::replace(&path, &bytes).map_err(failed("write"))?;
        let file = OpenOptions::new().append(true).open(&path);
        Ok(Self {
            file: file.map_err(failed("open"))?,
            path,
        })
    }

    /// Put the event of a line of the metrics behind the others.
    pub(super) fn add(&mut self, line: &Value) -> Result<(), CliError> {
        let written: io::Result<()> = self.file.write_all(&of_line(line));
        written.map_err(|source| CliError::Io {
            action: "write",
            path: self.path.clone(),
            source,
        })
    }
}

/// The record of a line; nothing where it has no number to show.
fn of_line(line: &Value) -> Vec<u8> {
    let mut summary = Vec::new();
    for part in ["train", "valid"] {
        for (name, value) in line[part].as_object().into_iter().flatten() {
            let Some(number) = value.as_f64() else {
                continue;
            };
            let mut value = Vec::new();
            field(&mut value, 1, format!("{part}/{name}").as_bytes());
            value.push(2 << 3 | 5);
            value.extend((number as f32).to_le_bytes());
            field(&mut summary, 1, &value);
        }
    }
    let step = line["step"].as_u64().unwrap_or(0);
    match summary.is_empty() {
        true => Vec::new(),
        false => record(&event(step, 5, &summary)),
    }
}

/// An event at a step, now, with one field more.
fn event(step: u64, number: u8, content: &[u8]) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0.0, |since| since.as_secs_f64());
    let mut event = vec![1 << 3 | 1];
    event.extend(now.to_le_bytes());
    event.push(2 << 3);
    varint(&mut event, step);
    field(&mut event, number, content);
    event
}

/// A field of bytes.
fn field(into: &mut Vec<u8>, number: u8, content: &[u8]) {
    into.push(number << 3 | 2);
    varint(into, content.len() as u64);
    into.extend(content);
}

/// A number, seven bits a byte, the lowest first.
fn varint(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

fn record(event: &[u8]) -> Vec<u8> {
    let length = (event.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(event.len() + 16);
    record.extend(length);
    record.extend(masked(&length).to_le_bytes());
    record.extend(event);
    record.extend(masked(event).to_le_bytes());
    record
}

/// TensorFlow's masked CRC-32C.
fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The bytes that the writer of `tensorboard` 2.21 gives for the same scalar.
    #[test]
    fn a_record_is_tensorboards() {
        let line = json!({"step": 300, "train": {"loss": 1.5, "name": "x"}});
        let found = of_line(&line);
        let time = found[13..21].to_vec();
        let mut event = vec![9];
        event.extend(&time);
        event.extend(b"\x10\xac\x02*\x13\n\x11\n\ntrain/loss\x15\x00\x00\xc0?");
        assert_eq!(found[12..45], event);
        event.splice(1..9, 1f64.to_le_bytes());
        let mut expected = b"\x21\0\0\0\0\0\0\0\x01\x7b\xec\xf6".to_vec();
        expected.extend(&event);
        expected.extend(b"\x1d\x92\x8c\xfc");
        assert_eq!(record(&event), expected);
        assert!(of_line(&json!({"step": 3, "samples": [1]})).is_empty());
    }
}
