//! [`DataFileError`]: why a file gives no rows, or no more of them.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Why a file gives no rows, or no more of them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataFileError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of another kind.
    #[error(
        "{} is {found}; rows are objects of JSON, one a line or in one list, or a table with a header (CSV, TSV, Parquet)",
        path.display()
    )]
    NoRows {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: String,
    },
    /// A file that the feature of this name reads.
    #[error(
        "{} is a Parquet file, which a build with the feature `{feature}` reads (cargo install --features {feature})",
        path.display()
    )]
    WithoutFeature {
        /// The file.
        path: PathBuf,
        /// The feature.
        feature: &'static str,
    },
    /// A table whose columns cannot be told.
    #[error("the header of {}: {reason}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// What a file is packed in, or its format, breaks off.
    #[error("{} is damaged {}: {reason}", path.display(), behind(after))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The last row before, as its place is shown; none before the first.
        after: Option<String>,
        /// What is wrong.
        reason: String,
    },
    /// A directory without rows.
    #[error("{} has no file of rows (.jsonl, .json, .csv, .tsv, .parquet, also with .gz or .zst): {found}", path.display())]
    NoFiles {
        /// The directory.
        path: PathBuf,
        /// What it has.
        found: String,
    },
    /// A directory whose files are for different uses.
    #[error(
        "{} has {one} and {other}, which are for different uses by their names: name the files, not the directory",
        path.display()
    )]
    SeveralUses {
        /// The directory.
        path: PathBuf,
        /// A file of it.
        one: String,
        /// A file for another use.
        other: String,
    },
}

fn behind(after: &Option<String>) -> String {
    match after {
        Some(row) => format!("behind {row}"),
        None => "before its first row".into(),
    }
}

impl DataFileError {
    /// Reading failed after a row. What a decoder says of the bytes is the file's damage; the rest
    /// is the system's.
    pub(crate) fn reading(path: &Path, after: Option<String>, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof => {
                Self::Damaged {
                    path,
                    after,
                    reason: source.to_string(),
                }
            }
            _ => Self::Io { path, source },
        }
    }
}
