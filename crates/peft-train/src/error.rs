//! [`TrainError`]: what can go wrong between a data file and a trained model.

use std::fmt;
use std::path::PathBuf;

use crate::Divergence;

/// Data that cannot be used, or training that cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The model cannot be frozen or adapted so.
    #[error(transparent)]
    Model(#[from] peft_core::PeftError),
    /// A run cannot be on several devices, or not on these.
    #[error("the run cannot be on these devices: {reason}")]
    Devices {
        /// Why.
        reason: String,
    },
    /// A run cannot go step by step with others.
    #[error("the run cannot be at once with others: {reason}")]
    AtOnce {
        /// Why.
        reason: &'static str,
    },
    /// A device is lost in the middle of a run: what it computed last is not there.
    #[error("{reason}")]
    DeviceLost {
        /// Which, and why.
        reason: String,
    },
    /// A file cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// `read`, `write` ...
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Rows of a data file are wrong; the first ones are named together.
    #[error("{of} has {count} bad row{}:{}", if *count == 1 { "" } else { "s" }, lines(rows))]
    Rows {
        /// The file or the files.
        of: String,
        /// How many rows are wrong.
        count: usize,
        /// The first of them.
        rows: Vec<BadRow>,
    },
    /// A data file gives no rows, or no more of them.
    #[error(transparent)]
    DataFile(peft_data::DataFileError),
    /// A data file has no row.
    #[error("{of} has no rows")]
    Empty {
        /// The file or the files.
        of: String,
    },
    /// No row has a target within the maximal length.
    #[error("no row of {what} has a target within {max_length} tokens; raise the maximal length")]
    NoTargets {
        /// What the rows are.
        what: String,
        /// The limit.
        max_length: usize,
    },
    /// No row has a target, whatever the maximal length.
    #[error("no row of {of} has a target: {reason}")]
    Targetless {
        /// The file or the files.
        of: String,
        /// What rows of its kind lack.
        reason: &'static str,
    },
    /// The rows are of a kind that the task does not take.
    #[error("{of} holds {found} rows, but {task} takes {expected}")]
    WrongTask {
        /// The file or the files.
        of: String,
        /// The kind of its rows.
        found: &'static str,
        /// The task.
        task: &'static str,
        /// The kinds that it takes.
        expected: &'static str,
    },
    /// The tokenizer cannot be read.
    #[error("cannot read the tokenizer {}: {reason}", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The tokenizer cannot encode a text, or decode tokens.
    #[error("the tokenizer failed: {reason}")]
    Tokenize {
        /// Why.
        reason: String,
    },
    /// Rows of messages need a chat template.
    #[error(
        "the rows are conversations, but the tokenizer has no chat template (chat_template in tokenizer_config.json, or chat_template.jinja)"
    )]
    NoChatTemplate,
    /// A chat template that the tokenizer does not have.
    #[error("the tokenizer has no chat template `{name}`; it has {}", known.join(", "))]
    UnknownTemplate {
        /// The template that was asked for.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The chat template fails.
    #[error("the chat template failed: {reason}")]
    ChatTemplate {
        /// Why.
        reason: String,
    },
    /// A weight is to train that is held in blocks of a few bits.
    #[error(
        "`{path}` is to train, but it is held in {format}, which does not: load the model dense (--quantise none), or train an adapter"
    )]
    Packed {
        /// The parameter.
        path: String,
        /// How it is held.
        format: peft_kernels::PackedFormat,
    },
    /// A token that the model does not know.
    #[error("the tokenizer gives token {token}, but the model's vocabulary has {vocab_size}")]
    TokenOutOfRange {
        /// The token.
        token: u32,
        /// The size of the vocabulary.
        vocab_size: usize,
    },
    /// A prompt that the model cannot take.
    #[error("the prompt has {tokens} tokens, but the model takes 1 to {limit}")]
    PromptLength {
        /// Its length.
        tokens: usize,
        /// The most that the model takes.
        limit: usize,
    },
    /// A setting that cannot be.
    #[error("{field} is {value}, but must be {expected}")]
    Setting {
        /// The setting.
        field: &'static str,
        /// Its value.
        value: String,
        /// What it must be.
        expected: &'static str,
    },
    /// Settings of a run that cannot be.
    #[error("{}", joined(wrong))]
    Settings {
        /// All of them.
        wrong: Vec<WrongSetting>,
    },
    /// The learning rate never rises to its peak.
    #[error("the warm-up takes {warmup} steps, but the run has {total}: it must be shorter")]
    WarmupWithoutEnd {
        /// Steps of warm-up.
        warmup: usize,
        /// Steps of the run.
        total: usize,
    },
    /// Something is no finite number any more.
    #[error("{what} at step {step} ({}): {cause}", shown(rows))]
    Diverged {
        /// The step, from 1; 0 before the first one.
        step: usize,
        /// What is not finite.
        what: Divergence,
        /// The examples of the step, from 1, in the order that they were given in.
        rows: Vec<usize>,
        /// What has most likely led there.
        cause: String,
    },
    /// A state that no run should go on from.
    #[error("`{name}` holds values that are not finite, so the state is not kept")]
    NotFinite {
        /// The tensor.
        name: String,
    },
    /// A model that gives no token, since none is likelier than another.
    #[error("the logits of token {position} are not finite numbers")]
    NotFiniteLogits {
        /// The token that was to be generated, from 1.
        position: usize,
    },
    /// Nothing trains.
    #[error("no parameter of the model trains")]
    NothingTrains,
    /// There are no rows.
    #[error("there are no examples")]
    NoExamples,
    /// A strategy gives a factor on the learning rate that cannot be.
    #[error("the learning-rate factor of `{path}` is {rate}, but must be at least 0")]
    Rate {
        /// The parameter.
        path: String,
        /// The factor.
        rate: f64,
    },
    /// The kept states of a frozen trunk are not what was kept.
    #[error("the states kept for row {row} are lost or damaged; train without the trunk cache")]
    TrunkLost {
        /// The row, from 0.
        row: usize,
    },
    /// A row that was kept in a temporary file is not what was kept.
    #[error(
        "row {row} as it was kept in a temporary file is lost or damaged: something else wrote there, or the disk fails"
    )]
    RowLost {
        /// The row, from 0.
        row: usize,
    },
    /// A training state does not fit.
    #[error("cannot resume: {reason}")]
    Resume {
        /// Why.
        reason: String,
    },
    /// What the caller does with a report failed.
    #[error("{0}")]
    Observer(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<peft_data::DataFileError> for TrainError {
    fn from(error: peft_data::DataFileError) -> Self {
        match error {
            peft_data::DataFileError::Io { path, source } => Self::Io {
                action: "read",
                path,
                source,
            },
            error => Self::DataFile(error),
        }
    }
}

/// A setting of a run that cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongSetting {
    /// The setting.
    pub field: &'static str,
    /// Its value.
    pub value: String,
    /// What it must be.
    pub expected: &'static str,
}

impl fmt::Display for WrongSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is {}, but must be {}",
            self.field, self.value, self.expected
        )
    }
}

fn joined(wrong: &[WrongSetting]) -> String {
    let all: Vec<String> = wrong.iter().map(ToString::to_string).collect();
    all.join("; ")
}

/// The first of these examples.
fn shown(rows: &[usize]) -> String {
    const SHOWN: usize = 16;
    let first: Vec<String> = rows.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = match rows.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!(" and {more} more"),
        _ => String::new(),
    };
    match rows {
        [] => "all examples".into(),
        [row] => format!("example {row}"),
        _ => format!("examples {}{more}", first.join(", ")),
    }
}

/// A row that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// Its file, where there are several.
    pub file: Option<PathBuf>,
    /// Where it is in its file.
    pub at: peft_data::RowPlace,
    /// What is wrong.
    pub reason: String,
    /// How many rows of the file behind it are wrong by the same.
    pub more: usize,
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}, ", file.display())?;
        }
        match self.more {
            0 => write!(f, "{}: {}", self.at, self.reason),
            more => write!(f, "{} and {more} more: {}", self.at, self.reason),
        }
    }
}

fn lines(rows: &[BadRow]) -> String {
    rows.iter().map(|row| format!("\n  {row}")).collect()
}
