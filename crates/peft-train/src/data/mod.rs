//! Rows of data files, and their tokens.

mod asked;
mod chat;
mod column_names;
mod conversation;
mod dataset;
mod example;
mod form;
mod instruction;
mod label;
mod pack;
mod prompt_template;
mod prompts;
mod questions;
mod repeated;
mod row;
mod row_options;
mod shape;
mod split;
mod turns;

pub use asked::asked_tokens;
pub use chat::{Message, conversation, template_variables};
pub use column_names::ColumnNames;
pub use dataset::Dataset;
pub use example::{EncodeOptions, EncodedExamples, EncodedRow, Example, encode, encode_row};
pub(crate) use example::{check_vocabulary, completion_tokens, is_completions};
pub use instruction::Instruction;
pub use label::{Label, LabelName};
pub use pack::pack;
pub use prompt_template::PromptTemplate;
pub use prompts::Prompts;
pub use questions::Questions;
pub use row::{Row, RowKind};
pub use row_options::{RowOptions, TrainTurns};
