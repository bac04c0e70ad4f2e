//! [`Rows`]: the rows of a file, one after the other.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use crate::DataFileError;
use crate::format::{Format, Named};
use crate::json_lines::JsonLines;
use crate::json_list::JsonList;
use crate::row::FileRow;
use crate::table::{Table, TableError};
use crate::unpacked::Unpacked;

/// The rows of a file, one after the other. After an error there are no more.
pub struct Rows {
    path: PathBuf,
    inner: Inner,
    after: Option<String>,
    ended: bool,
}

enum Inner {
    Lines(JsonLines<Box<dyn BufRead>>),
    List(JsonList<Box<dyn BufRead>>),
    Table(Table<Box<dyn BufRead>>),
    #[cfg(feature = "parquet")]
    Parquet(crate::parquet_file::ParquetFile),
}

impl Rows {
    /// Open a file.
    ///
    /// # Errors
    ///
    /// A [`DataFileError`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DataFileError> {
        let path = path.as_ref().to_path_buf();
        let reading = |source| DataFileError::reading(&path, None, source);
        let no_rows = |found: String| DataFileError::NoRows {
            path: path.clone(),
            found,
        };
        let opened = Unpacked::open(&path);
        let Unpacked { reader, start } = opened.map_err(|source| match path.is_dir() {
            true => no_rows("a directory".into()),
            false => reading(source),
        })?;
        let format = Format::of(Named::of(&path), &start).map_err(no_rows)?;
        let inner = match format {
            Format::JsonLines => Inner::Lines(JsonLines::new(reader)),
            Format::JsonList => Inner::List(JsonList::new(reader)),
            Format::Table { tabs } => {
                let table = Table::new(reader, tabs);
                Inner::Table(table.map_err(|error| match error {
                    TableError::Io(source) => reading(source),
                    TableError::Header(reason) => DataFileError::Header {
                        path: path.clone(),
                        reason,
                    },
                })?)
            }
            #[cfg(feature = "parquet")]
            Format::Parquet => Inner::Parquet(crate::parquet_file::ParquetFile::open(&path)?),
            #[cfg(not(feature = "parquet"))]
            Format::Parquet => {
                return Err(DataFileError::WithoutFeature {
                    path,
                    feature: "parquet",
                });
            }
        };
        Ok(Self {
            path,
            inner,
            after: None,
            ended: false,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether every value is a string, which may write something else: a number, or JSON.
    pub fn is_text(&self) -> bool {
        matches!(self.inner, Inner::Table(_))
    }

    /// Whether every row has every column, and null where it has nothing.
    pub fn has_nulls(&self) -> bool {
        #[cfg(feature = "parquet")]
        return matches!(self.inner, Inner::Parquet(_));
        #[cfg(not(feature = "parquet"))]
        false
    }
}

impl Iterator for Rows {
    type Item = Result<FileRow, DataFileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = match &mut self.inner {
            Inner::Lines(lines) => lines.next_row(),
            Inner::List(list) => list.next_row(),
            Inner::Table(table) => table.next_row(),
            #[cfg(feature = "parquet")]
            Inner::Parquet(file) => file.next_row(),
        };
        match next {
            Ok(Some(row)) => {
                self.after = Some(row.at.to_string());
                Some(Ok(row))
            }
            Ok(None) => {
                self.ended = true;
                None
            }
            Err(source) => {
                self.ended = true;
                let after = self.after.take();
                Some(Err(DataFileError::reading(&self.path, after, source)))
            }
        }
    }
}
