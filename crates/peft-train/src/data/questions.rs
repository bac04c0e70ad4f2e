//! [`Questions`]: rows that a model is asked, with their answers where they have them.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::shape::shaped;
use super::{Dataset, Message, Prompts, Row, RowKind, RowOptions, asked_tokens, check_vocabulary};
use crate::store::ValueStore;
use crate::{Digest, TextTokenizer, TrainError};

/// What is asked, and the key of its answer.
const PAIRS: [(&str, &str); 4] = [
    ("instruction", "output"),
    ("prompt", "completion"),
    ("tokens", "tags"),
    ("text", "label"),
];

/// What stands in place of an answer that is not there, and is read by nothing.
const UNANSWERED: &str = "(unanswered)";

/// Rows of files that a model is asked. They are those of training, and may lack the answer:
/// `completion`, `output`, `label`, `tags`, or the assistant's last turn. As those of a [`Dataset`]
/// they, and the columns that they are made of, are in memory up to 64 MiB.
#[derive(Debug, Clone)]
pub struct Questions {
    dataset: Dataset,
    is_answered: Vec<bool>,
    columns: Arc<ValueStore<Map<String, Value>>>,
    digest: Digest,
}

impl Questions {
    /// Read files, as [`Dataset::read_all`] does. With `as_turns` a prompt that is a text is a
    /// user's turn.
    ///
    /// # Errors
    ///
    /// A [`TrainError`]; bad rows are reported together, by file and line.
    pub fn read_all(
        paths: &[PathBuf],
        options: &RowOptions,
        as_turns: bool,
    ) -> Result<Self, TrainError> {
        let (mut is_answered, mut digest) = (Vec::new(), Digest::default());
        let (mut columns, mut failed) = (ValueStore::default(), None);
        let asked: Vec<&str> = options.columns.keys().collect();
        let dataset = Dataset::read_each(paths, options, |row, writing| {
            let mut given = row.clone();
            if given.get("label").is_some_and(is_nothing) {
                given.shift_remove("label");
            }
            let mut given = shaped(given, writing, options)?;
            let answered = answer(&mut given, &asked);
            if as_turns {
                turn(&mut given, "prompt", "user");
                turn(&mut given, "completion", "assistant");
            }
            let read = Row::of(&given, options)?;
            is_answered.push(answered);
            if let Err(error) = columns.push(&row) {
                let why = error.to_string();
                failed = failed.take().or(Some(error));
                return Err(why);
            }
            digest.add_bytes(json!(row).to_string().as_bytes());
            Ok(read)
        });
        if let Some(error) = failed {
            return Err(error);
        }
        Ok(Self {
            dataset: dataset?,
            is_answered,
            columns: Arc::new(columns),
            digest,
        })
    }

    /// What the files are called in messages.
    pub fn name(&self) -> &str {
        self.dataset.name()
    }

    /// What the rows are, with their answers.
    pub fn kind(&self) -> RowKind {
        self.dataset.kind()
    }

    /// How many rows there are; at least one.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// The rows. Where there is no answer, what stands in its place means nothing.
    pub fn rows(&self) -> impl Iterator<Item = Result<Row, TrainError>> {
        self.dataset.rows()
    }

    /// A row, as [`rows`](Self::rows) has it.
    ///
    /// # Errors
    ///
    /// As [`Dataset::row`].
    ///
    /// # Panics
    ///
    /// If there is no such row.
    pub fn row(&self, row: usize) -> Result<Row, TrainError> {
        self.dataset.row(row)
    }

    /// Whether each row has its answer.
    pub fn is_answered(&self) -> &[bool] {
        &self.is_answered
    }

    /// The columns of a row, as its file has them.
    ///
    /// # Errors
    ///
    /// As [`Dataset::row`], and where there is no such row.
    pub fn columns(&self, row: usize) -> Result<Map<String, Value>, TrainError> {
        self.columns.get(row)
    }

    /// The rows that have an answer, if any has.
    pub fn answered(&self) -> Option<Dataset> {
        let (_, answered) = self.dataset.parted(&self.is_answered);
        (answered.len() > 0).then_some(answered)
    }

    /// A number that tells these rows from others.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The text that answers a row; none where it has no answer, or none that is a text.
    ///
    /// # Errors
    ///
    /// As [`Dataset::row`].
    ///
    /// # Panics
    ///
    /// If there is no such row.
    pub fn answer(&self, row: usize) -> Result<Option<String>, TrainError> {
        match self.is_answered[row] {
            true => Ok(self.row(row)?.answer()),
            false => Ok(None),
        }
    }

    /// What a decoder of this vocabulary and so many positions reads for each row; see
    /// [`asked_tokens`].
    ///
    /// # Errors
    ///
    /// A [`TrainError`]; rows that ask for nothing, or for more than the model reads, are named
    /// together.
    pub fn prompts(
        &self,
        tokenizer: &TextTokenizer,
        vocab_size: usize,
        positions: usize,
    ) -> Result<Prompts, TrainError> {
        if matches!(
            self.kind(),
            RowKind::Text | RowKind::Labelled | RowKind::Tagged
        ) {
            let forms = "{\"prompt\"}, {\"messages\"} or {\"instruction\"}, each with or without its answer (--columns prompt=text reads texts as prompts)";
            return Err(self.dataset.wrong_task("generation", forms));
        }
        let mut wrong = Vec::new();
        let mut prompts = Prompts::default();
        for (i, row) in self.rows().enumerate() {
            let asked = match asked_tokens(&row?, tokenizer) {
                Err(TrainError::ChatTemplate { reason }) => {
                    wrong.push((i, format!("the chat template failed: {reason}")));
                    continue;
                }
                asked => asked?.unwrap_or_default(),
            };
            let n = asked.len();
            if n == 0 {
                wrong.push((i, "asks for nothing: its prompt has no token".into()));
            } else if n > positions {
                let why = format!("the prompt has {n} tokens, and the model takes {positions}");
                wrong.push((i, why));
            } else if let Err(error) = check_vocabulary(&asked, vocab_size) {
                wrong.push((i, error.to_string()));
            }
            prompts.push(&asked)?;
        }
        match wrong.is_empty() {
            true => Ok(prompts),
            false => Err(self.dataset.refuse(wrong)),
        }
    }

    /// An error that names what a task takes instead.
    pub fn wrong_task(&self, task: &'static str, expected: &'static str) -> TrainError {
        self.dataset.wrong_task(task, expected)
    }
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value == ""
}

/// Whether a row has its answer; where it has none, something is put in its place.
fn answer(row: &mut Map<String, Value>, asked: &[&str]) -> bool {
    let pairs = PAIRS.iter().filter(|(question, answer)| {
        let among = |key: &&str| key == question || key == answer;
        asked.iter().all(among)
    });
    if asked.iter().all(|key| *key == "messages")
        && let Some(Value::Array(messages)) = row.get_mut("messages")
    {
        let answered = messages
            .last()
            .is_some_and(|last| last["role"] == "assistant");
        if !answered {
            messages.push(json!({ "role": "assistant", "content": UNANSWERED }));
        }
        return answered;
    }
    let mut first = None;
    for (question, answer) in pairs {
        if !row.contains_key(*question) {
            continue;
        }
        if row.get(*answer).is_some_and(|answer| !is_nothing(answer)) {
            return true;
        }
        first = first.or(Some((*question, *answer)));
    }
    let Some((question, answer)) = first else {
        return false;
    };
    let none = match (&row[question], question) {
        (Value::Array(words), "tokens") => vec![-100; words.len()].into(),
        (_, "text") => json!(-100),
        (Value::Array(_), "prompt") => json!([{ "role": "assistant", "content": UNANSWERED }]),
        _ => json!(UNANSWERED),
    };
    row.insert(answer.into(), none);
    false
}

/// Make a text the turn that it is.
fn turn(row: &mut Map<String, Value>, key: &str, role: &str) {
    if let Some(content @ Value::String(_)) = row.get(key) {
        let turns = json!([{ "role": role, "content": content }]);
        row.insert(key.into(), turns);
    }
}

impl Row {
    /// The text of its answer, where it has one that is a text.
    pub fn answer(&self) -> Option<String> {
        match self {
            Self::Completion { completion, .. } => Some(completion.clone()),
            Self::Instruction(row) => Some(row.output.clone()),
            Self::Chat { messages, .. } => content(messages.iter().rfind(|turn| turn.is_target())?),
            Self::Dialogue { completion, .. } => {
                content(completion.iter().find(|turn| turn.is_assistant())?)
            }
            Self::Text { .. } | Self::Labelled { .. } | Self::Tagged { .. } => None,
        }
    }

    /// The text that its answer is to: the prompt, or the turn before.
    pub fn question(&self) -> Option<String> {
        match self {
            Self::Completion { prompt, .. } => Some(prompt.clone()),
            Self::Instruction(row) => Some(row.prompt()),
            Self::Chat { messages, .. } => {
                let answer = messages.iter().rposition(Message::is_target)?;
                content(messages.get(answer.checked_sub(1)?)?)
            }
            Self::Dialogue { prompt, .. } => content(prompt.last()?),
            Self::Text { .. } | Self::Labelled { .. } | Self::Tagged { .. } => None,
        }
    }
}

fn content(message: &Message) -> Option<String> {
    match message.fields().get("content")? {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => Some(parts.iter().filter_map(|p| p["text"].as_str()).collect()),
        _ => None,
    }
}
