//! [`FileRow`]: a row of a file, and where it is.

use std::fmt;

use serde_json::{Map, Value};

/// A row of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct FileRow {
    /// Where it is.
    pub at: RowPlace,
    /// What it holds, or why it is no row.
    pub object: Result<Map<String, Value>, String>,
}

/// Where a row is in its file. It is shown as people find it there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowPlace {
    /// On this line, from 1, or beginning there.
    Line(u64),
    /// The element of this number, from 1, which begins on this line.
    Element {
        /// The number.
        row: u64,
        /// The line.
        line: u64,
    },
    /// The row of this number, from 1, in a file that has no lines.
    Row(u64),
}

impl RowPlace {
    /// Its number, by which rows of a file can be told apart.
    pub fn number(self) -> u64 {
        match self {
            Self::Line(n) | Self::Row(n) | Self::Element { row: n, .. } => n,
        }
    }
}

impl fmt::Display for RowPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            // A list that is written as one line.
            Self::Element { row, line: 1 } | Self::Row(row) => write!(f, "row {row}"),
            Self::Element { row, line } => write!(f, "row {row} (line {line})"),
        }
    }
}
