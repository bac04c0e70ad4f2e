//! [`JsonLines`]: one JSON object a line.

use std::io::{self, BufRead};

use peft_files::Lines;

use crate::LONGEST_ROW;
use crate::columns::too_long;
use crate::json::object;
use crate::row::{FileRow, RowPlace};

/// The rows of a file with one JSON object a line; empty lines are passed over.
pub(crate) struct JsonLines<R> {
    lines: Lines<R>,
    line: u64,
    ended: bool,
}

impl<R: BufRead> JsonLines<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self {
            lines: Lines::new(reader, LONGEST_ROW),
            line: 0,
            ended: false,
        }
    }

    pub(crate) fn next_row(&mut self) -> io::Result<Option<FileRow>> {
        while !self.ended {
            let Some(line) = self.lines.next().transpose()? else {
                break;
            };
            self.line += 1;
            let object = match &line {
                // What follows may go on as long, and is not looked at.
                None => {
                    self.ended = true;
                    Err(too_long())
                }
                Some(line) => match std::str::from_utf8(line) {
                    // Files that were put together have marks of byte order within.
                    Ok(text) => match text.trim_start_matches('\u{feff}').trim() {
                        "" => continue,
                        text => object(text, None),
                    },
                    Err(_) => Err("is not UTF-8".into()),
                },
            };
            let at = RowPlace::Line(self.line);
            return Ok(Some(FileRow { at, object }));
        }
        Ok(None)
    }
}
