//! [`JsonList`]: one JSON list of objects.

use std::io::{self, BufRead};

use crate::LONGEST_ROW;
use crate::columns::too_long;
use crate::json::object;
use crate::row::{FileRow, RowPlace};

/// The elements of a file that is one JSON list, each found by its brackets and quotes and read by
/// itself.
pub(crate) struct JsonList<R> {
    reader: R,
    row: u64,
    line: u64,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the bracket that opens the list.
    Outside,
    /// Behind it: an element, or the end.
    First,
    /// Behind a comma: an element.
    Element,
    /// Behind an element: a comma, or the end.
    Comma,
    /// Nothing more is read.
    Ended,
}

impl<R: BufRead> JsonList<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self {
            reader,
            row: 0,
            line: 1,
            state: State::Outside,
        }
    }

    pub(crate) fn next_row(&mut self) -> io::Result<Option<FileRow>> {
        loop {
            if self.state == State::Ended {
                return Ok(None);
            }
            let Some(byte) = self.blank()? else {
                return Ok(Some(self.wrong("the file ends within the list")));
            };
            match (self.state, byte) {
                (State::Outside, b'[') => self.take(State::First),
                (State::First | State::Comma, b']') => {
                    self.take(State::Ended);
                    let more = self.blank()?.is_some();
                    return Ok(more.then(|| self.wrong("there is more behind the list's end")));
                }
                (State::Comma, b',') => self.take(State::Element),
                (State::Element, b']') => {
                    return Ok(Some(self.wrong("a comma stands before the list's end")));
                }
                (State::First | State::Element, b',') => {
                    return Ok(Some(self.wrong("a comma stands where an element should")));
                }
                (State::First | State::Element, _) => return self.element().map(Some),
                (State::Outside | State::Comma, _) => {
                    return Ok(Some(self.wrong("no comma stands between two elements")));
                }
                (State::Ended, _) => return Ok(None),
            }
        }
    }

    /// Go on behind the byte that was looked at.
    fn take(&mut self, state: State) {
        self.reader.consume(1);
        self.state = state;
    }

    /// What is wrong with the list itself; nothing can be found behind it.
    fn wrong(&mut self, reason: &str) -> FileRow {
        self.state = State::Ended;
        self.row += 1;
        FileRow {
            at: self.place(self.line),
            object: Err(reason.into()),
        }
    }

    fn place(&self, line: u64) -> RowPlace {
        let row = self.row;
        RowPlace::Element { row, line }
    }

    /// The next byte that is not white space, which stays there.
    fn blank(&mut self) -> io::Result<Option<u8>> {
        loop {
            let held = self.reader.fill_buf()?;
            let blank = |byte: &&u8| byte.is_ascii_whitespace();
            let n = held.iter().take_while(blank).count();
            self.line += lines(&held[..n]);
            match held.get(n).copied() {
                Some(byte) => {
                    self.reader.consume(n);
                    return Ok(Some(byte));
                }
                None if n == 0 => return Ok(None),
                None => self.reader.consume(n),
            }
        }
    }

    fn element(&mut self) -> io::Result<FileRow> {
        self.row += 1;
        let line = self.line;
        let at = self.place(line);
        let mut bytes = Vec::new();
        let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
        loop {
            let held = self.reader.fill_buf()?;
            if held.is_empty() && depth == 0 && !in_string {
                // That the list has no end is told behind it.
                break;
            }
            if held.is_empty() {
                self.state = State::Ended;
                let reason = match in_string {
                    true => "has no end: a quote that is opened is not closed",
                    false => "has no end: a bracket that is opened is not closed",
                };
                let object = Err(reason.into());
                return Ok(FileRow { at, object });
            }
            let end = held.iter().position(|byte| {
                if in_string {
                    match byte {
                        _ if escaped => escaped = false,
                        b'\\' => escaped = true,
                        b'"' => in_string = false,
                        _ => {}
                    }
                    return false;
                }
                match byte {
                    b'"' => in_string = true,
                    b'{' | b'[' => depth += 1,
                    b',' | b']' if depth == 0 => return true,
                    b'}' | b']' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                false
            });
            let n = end.unwrap_or(held.len());
            if bytes.len() + n > LONGEST_ROW {
                self.state = State::Ended;
                let object = Err(too_long());
                return Ok(FileRow { at, object });
            }
            bytes.extend_from_slice(&held[..n]);
            self.line += lines(&held[..n]);
            self.reader.consume(n);
            if end.is_some() {
                break;
            }
        }
        self.state = State::Comma;
        let object = match std::str::from_utf8(&bytes) {
            Ok(text) => object(text, Some(line)),
            Err(_) => Err("is not UTF-8".into()),
        };
        Ok(FileRow { at, object })
    }
}

fn lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}
