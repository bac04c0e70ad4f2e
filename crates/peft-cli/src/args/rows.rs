//! How the rows of files are read.

use clap::{Args, ValueEnum};
use peft_train::{ColumnNames, PromptTemplate, RowOptions, TrainTurns};
use serde::Serialize;

use crate::error::CliError;

/// How the rows of files are read.
#[derive(Args, Clone, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct RowArgs {
    /// Columns under other names, the key of a row first: prompt=question,completion=answer
    #[arg(long, value_name = "KEY=COLUMN", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) columns: Vec<String>,
    /// Make the prompt of a row's columns, each where it stands in braces, as {question}; {{ and }}
    /// are braces
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) template: Option<String>,
    /// Rows that are read at most, the first ones
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_rows: Option<usize>,
    /// What the system says in conversations that have no message of its
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) system: Option<String>,
    /// The assistant's turns that are targets; all but those with `weight` 0 or `train` false if
    /// not given
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) train_turns: Option<TurnsArg>,
}

/// The assistant's turns that are targets.
#[derive(Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TurnsArg {
    /// All that are not marked otherwise
    All,
    /// The last
    Last,
}

impl TurnsArg {
    fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Last => "last",
        }
    }
}

impl RowArgs {
    /// What they say, checked.
    pub(crate) fn options(&self) -> Result<RowOptions, CliError> {
        let wrong = |flag: &str, why: String| CliError::Usage(format!("--{flag}: {why}"));
        if self.max_rows == Some(0) {
            return Err(wrong("max-rows", "it is 0, but must be at least 1".into()));
        }
        let template = self.template.as_deref().map(PromptTemplate::parse);
        Ok(RowOptions {
            columns: ColumnNames::parse(&self.columns).map_err(|why| wrong("columns", why))?,
            template: template.transpose().map_err(|why| wrong("template", why))?,
            max_rows: self.max_rows,
            system: self.system.clone(),
            turns: match self.train_turns {
                Some(TurnsArg::Last) => TrainTurns::Last,
                Some(TurnsArg::All) | None => TrainTurns::All,
            },
        })
    }

    /// The flags by which another verb reads rows in the same way, each with its value.
    pub(crate) fn given(&self) -> Vec<(&'static str, String)> {
        let columns = Some(self.columns.join(",")).filter(|columns| !columns.is_empty());
        let turns = self.train_turns.map(|turns| turns.name().to_owned());
        let given = [
            ("columns", columns),
            ("template", self.template.clone()),
            ("system", self.system.clone()),
            ("train-turns", turns),
        ];
        let given = given.into_iter();
        given
            .filter_map(|(flag, value)| Some((flag, value?)))
            .collect()
    }
}
