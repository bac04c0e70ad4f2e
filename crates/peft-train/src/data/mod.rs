//! Rows of data files, and their tokens.

mod dataset;
mod example;
mod label;
mod pack;
mod row;

pub use dataset::Dataset;
pub(crate) use example::check_vocabulary;
pub use example::{EncodeOptions, Encoded, Example, encode};
pub use label::{Label, LabelName};
pub use pack::pack;
pub use row::{Message, Row, RowKind, conversation};
