//! Rows of data files, and their tokens.

mod dataset;
mod example;
mod pack;
mod row;

pub use dataset::Dataset;
pub use example::{EncodeOptions, Encoded, Example, encode};
pub use pack::pack;
pub use row::{Message, Row, RowKind};
