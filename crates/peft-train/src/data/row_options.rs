//! [`RowOptions`]: how the rows of files are read.

use super::{ColumnNames, PromptTemplate};

/// How the rows of files are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowOptions {
    /// Which columns are read as which keys.
    pub columns: ColumnNames,
    /// What makes the prompt of a row's columns.
    pub template: Option<PromptTemplate>,
    /// Rows that are read at most, of all files together.
    pub max_rows: Option<usize>,
    /// What the system says in a conversation in which it says nothing.
    pub system: Option<String>,
    /// Which turns of a conversation are targets.
    pub turns: TrainTurns,
}

/// Which turns of a conversation are targets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TrainTurns {
    /// All of the assistant's, but those that are marked otherwise.
    #[default]
    All,
    /// The last of the assistant's.
    Last,
}
