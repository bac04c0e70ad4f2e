#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod columns;
mod error;
mod files;
mod format;
mod json;
mod json_lines;
mod json_list;
#[cfg(feature = "parquet")]
mod parquet_file;
mod row;
mod rows;
mod table;
mod unpacked;
mod zstd_frames;

pub use error::DataFileError;
pub use files::row_files;
pub use row::{FileRow, RowPlace};
pub use rows::Rows;

/// The longest row, in bytes: far more than the text of any, and no more than what is held at once.
pub const LONGEST_ROW: usize = 64 << 20;

/// The most columns that a row or a table has.
pub const MOST_COLUMNS: usize = 4096;
