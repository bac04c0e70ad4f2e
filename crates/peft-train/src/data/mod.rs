//! Rows of data files, and their tokens.

mod dataset;
mod example;
mod row;

pub use dataset::Dataset;
pub use example::{EncodeOptions, Encoded, Example, encode};
pub use row::{Message, Row, RowKind};
