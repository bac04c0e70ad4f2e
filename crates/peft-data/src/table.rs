//! [`Table`]: lines of cells under a header.

use std::cell::Cell;
use std::collections::HashSet;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use csv::{ByteRecord, Reader, ReaderBuilder};
use serde_json::{Map, Value};

use crate::LONGEST_ROW;
use crate::columns::{check_count, too_long};
use crate::row::{FileRow, RowPlace};

/// The rows of a table; every value is a string.
pub(crate) struct Table<R> {
    reader: Reader<Metered<R>>,
    meter: Rc<Meter>,
    names: Vec<String>,
    record: ByteRecord,
    /// The record behind, where that had to be looked at.
    next: Option<ByteRecord>,
    ended: bool,
}

/// What has been read of the file.
#[derive(Default)]
struct Meter {
    /// Bytes since the last row began.
    of_row: Cell<usize>,
    /// Quotes in all.
    quotes: Cell<u64>,
}

/// A reader that ends where a row is longer than any.
struct Metered<R> {
    inner: R,
    meter: Rc<Meter>,
}

impl<R: BufRead> Read for Metered<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.meter.of_row.get() > LONGEST_ROW {
            return Err(io::Error::other(TooLong));
        }
        let n = self.inner.read(buf)?;
        let quotes = buf[..n].iter().filter(|byte| **byte == b'"').count();
        self.meter.of_row.set(self.meter.of_row.get() + n);
        self.meter
            .quotes
            .set(self.meter.quotes.get() + quotes as u64);
        Ok(n)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a row is too long")]
struct TooLong;

/// Whether it is the meter that ended the reading.
fn is_too_long(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<TooLong>())
}

/// Why a table cannot be read.
pub(crate) enum TableError {
    Io(io::Error),
    Header(String),
}

impl From<io::Error> for TableError {
    fn from(error: io::Error) -> Self {
        match is_too_long(&error) {
            true => Self::Header(too_long()),
            false => Self::Io(error),
        }
    }
}

impl<R: BufRead> Table<R> {
    /// Read the header. What parts its cells is the tab where that is known, or else the commonest
    /// in it of comma, tab and semicolon.
    pub(crate) fn new(mut reader: R, tabs: bool) -> Result<Self, TableError> {
        let delimiter = match tabs {
            true => b'\t',
            false => delimiter(reader.fill_buf()?),
        };
        let meter = Rc::new(Meter::default());
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .from_reader(Metered {
                inner: reader,
                meter: meter.clone(),
            });
        let mut header = ByteRecord::new();
        reader.read_byte_record(&mut header).map_err(io_error)?;
        Ok(Self {
            names: names(&header).map_err(TableError::Header)?,
            reader,
            meter,
            record: header,
            next: None,
            ended: false,
        })
    }

    pub(crate) fn next_row(&mut self) -> io::Result<Option<FileRow>> {
        while !self.ended {
            self.meter.of_row.set(0);
            let line = self.reader.position().line();
            let at = RowPlace::Line(line);
            let read = match self.next.take() {
                Some(next) => {
                    self.record = next;
                    Ok(true)
                }
                None => self.reader.read_byte_record(&mut self.record),
            };
            match read {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    let error = io_error(error);
                    self.ended = true;
                    return match is_too_long(&error) {
                        true => Ok(Some(FileRow {
                            at,
                            object: Err(format!("{}; is a quote not closed?", too_long())),
                        })),
                        false => Err(error),
                    };
                }
            }
            // Empty lines before a row count as its own.
            let line = self.record.position().map_or(line, csv::Position::line);
            let at = RowPlace::Line(line);
            if self.record.len() > 1 && self.record.iter().all(<[u8]>::is_empty) {
                continue;
            }
            let object = match self.unclosed(line) {
                Some(reason) => {
                    self.ended = true;
                    Err(reason)
                }
                None => self.object(),
            };
            return Ok(Some(FileRow { at, object }));
        }
        Ok(None)
    }

    /// Why a row that goes on to the end of the file is none.
    fn unclosed(&mut self, line: u64) -> Option<String> {
        let last = self.record.iter().next_back()?;
        if self.meter.quotes.get().is_multiple_of(2) || !last.contains(&b'\n') {
            return None;
        }
        let mut next = ByteRecord::new();
        match self.reader.read_byte_record(&mut next) {
            Ok(false) => {}
            Ok(true) => {
                self.next = Some(next);
                return None;
            }
            // It is told when it is met again.
            Err(_) => return None,
        }
        let lines = self.reader.position().line().saturating_sub(line);
        Some(format!(
            "a quote is opened and not closed, so that all {} lines to the file's end are one cell",
            lines.max(1)
        ))
    }

    fn object(&self) -> Result<Map<String, Value>, String> {
        let (found, expected) = (self.record.len(), self.names.len());
        if found != expected {
            let hint = match found > expected {
                true => "; a cell that has the delimiter in it stands in quotes",
                false => "",
            };
            return Err(format!(
                "has {found} cells, but the header has {expected}{hint}"
            ));
        }
        let cells = self.names.iter().zip(self.record.iter());
        cells
            .map(|(name, cell)| match std::str::from_utf8(cell) {
                Ok(cell) => Ok((name.clone(), Value::String(cell.into()))),
                Err(_) => Err(format!("`{name}` is not UTF-8")),
            })
            .collect()
    }
}

fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, format!("{other:?}")),
    }
}

/// What parts the cells of a header.
fn delimiter(start: &[u8]) -> u8 {
    let mut in_quotes = false;
    let mut counts = [(b',', 0), (b'\t', 0), (b';', 0)];
    for byte in start.iter().take_while(|byte| **byte != b'\n') {
        match byte {
            b'"' => in_quotes = !in_quotes,
            byte if !in_quotes => {
                for (of, count) in &mut counts {
                    *count += usize::from(of == byte);
                }
            }
            _ => {}
        }
    }
    // The first of those that are as common.
    let most = counts.iter().rev().max_by_key(|(_, count)| *count);
    most.map_or(b',', |(of, _)| *of)
}

/// The names of a header's columns; one that has none is called as pandas calls it, which writes
/// its index so.
fn names(header: &ByteRecord) -> Result<Vec<String>, String> {
    check_count(header.len())?;
    let mut names = Vec::with_capacity(header.len());
    let mut seen = HashSet::new();
    for (i, cell) in header.iter().enumerate() {
        let name = std::str::from_utf8(cell)
            .map_err(|_| "is not UTF-8; the file is to be written in UTF-8")?;
        let name = match name.trim() {
            "" => format!("Unnamed: {i}"),
            name => name.to_owned(),
        };
        if !seen.insert(name.clone()) {
            return Err(format!("has two columns called `{name}`"));
        }
        names.push(name);
    }
    Ok(names)
}
