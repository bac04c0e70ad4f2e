//! Rows of data files, and their tokens.

mod chat;
mod container;
mod conversation;
mod dataset;
mod example;
mod label;
mod pack;
mod row;
mod turns;

pub use chat::{Message, conversation, template_variables};
pub use dataset::{Dataset, LONGEST_ROW};
pub use example::{EncodeOptions, EncodedExamples, Example, encode};
pub(crate) use example::{check_vocabulary, completion_tokens, is_completions};
pub use label::{Label, LabelName};
pub use pack::pack;
pub use row::{Row, RowKind};
