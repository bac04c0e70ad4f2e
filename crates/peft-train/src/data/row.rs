//! [`Row`]: one row of a file, told apart by its keys.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::chat::{Message, conversation, template_variables};
use super::form::{FORMS, OF_CHAT, OF_INSTRUCTION, OF_LABELLED, form};
use super::{Instruction, Label, LabelName, RowOptions, TrainTurns};

/// A row of training data.
///
/// `{"tokens", "tags"}` is the form of the field's CoNLL sets, whose columns are called `tokens`
/// and `ner_tags` or `pos_tags`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Row {
    /// Every token is a target but the first.
    Text {
        /// The text.
        text: String,
    },
    /// The completion is the target.
    Completion {
        /// What is given.
        prompt: String,
        /// What is to follow.
        completion: String,
    },
    /// The assistant's turns are the targets.
    Chat {
        /// The turns.
        messages: Vec<Message>,
        /// What else the chat template is given: `tools`, and what `chat_template_kwargs` has.
        variables: Map<String, Value>,
    },
    /// A conversation and how it goes on: all that follows the prompt is the target, as in TRL.
    Dialogue {
        /// The turns that are given.
        prompt: Vec<Message>,
        /// The turns that are to follow.
        completion: Vec<Message>,
        /// What else the chat template is given, as that of [`Chat`](Self::Chat).
        variables: Map<String, Value>,
    },
    /// An instruction and its answer, which is the target.
    Instruction(Instruction),
    /// A text, or a pair of texts, with what it is.
    Labelled {
        /// The text.
        text: String,
        /// The second one of a pair.
        pair: Option<String>,
        /// Its class, its classes or its value.
        label: Label,
    },
    /// Words, each with what it is.
    Tagged {
        /// The words.
        words: Vec<String>,
        /// The tag of each.
        tags: Vec<LabelName>,
    },
}

/// What a file's rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RowKind {
    /// `{"text"}`
    Text,
    /// `{"prompt", "completion"}`
    Completion,
    /// `{"messages"}`
    Chat,
    /// `{"prompt", "completion"}` of messages
    Dialogue,
    /// `{"instruction", "output"}`
    Instruction,
    /// `{"text", "label"}`
    Labelled,
    /// `{"tokens", "tags"}`
    Tagged,
}

impl RowKind {
    /// Why rows of this kind that are not cut may have no target.
    pub(crate) fn without_target(self) -> &'static str {
        match self {
            Self::Text => "a text's first token is none, and no text has a second one",
            Self::Completion => "no completion has a token",
            Self::Chat => {
                "the chat template renders no token of an assistant's turn, or every such turn has `weight` 0"
            }
            Self::Dialogue => "the chat template renders nothing of a completion",
            Self::Instruction => "no answer has a token",
            Self::Labelled => "no text has a label",
            Self::Tagged => "every tag is -100, or its word has no token",
        }
    }
    /// The keys of such a row.
    pub fn keys(self) -> &'static str {
        match self {
            Self::Text => "{\"text\"}",
            Self::Completion => "{\"prompt\", \"completion\"}",
            Self::Chat => "{\"messages\"}",
            Self::Dialogue => "{\"prompt\", \"completion\"} of messages",
            Self::Instruction => "{\"instruction\", \"output\"}",
            Self::Labelled => "{\"text\", \"label\"}",
            Self::Tagged => "{\"tokens\", \"tags\"}",
        }
    }
}

impl Row {
    /// What the row is.
    pub fn kind(&self) -> RowKind {
        match self {
            Self::Text { .. } => RowKind::Text,
            Self::Completion { .. } => RowKind::Completion,
            Self::Chat { .. } => RowKind::Chat,
            Self::Dialogue { .. } => RowKind::Dialogue,
            Self::Instruction(_) => RowKind::Instruction,
            Self::Labelled { .. } => RowKind::Labelled,
            Self::Tagged { .. } => RowKind::Tagged,
        }
    }

    /// What the row of a file says, by the keys of its form, and the keys that it has beside those.
    pub(crate) fn of(
        map: &Map<String, Value>,
        options: &RowOptions,
    ) -> Result<(Self, Vec<String>), String> {
        let prompt = options.template.is_some().then_some("prompt");
        let asked: Vec<&str> = options.columns.keys().chain(prompt).collect();
        let (kind, keys) = form(map, &asked)?;
        let kind = match kind {
            RowKind::Completion if keys.iter().any(|key| map[*key].is_array()) => RowKind::Dialogue,
            kind => kind,
        };
        let optional: &[&str] = match kind {
            RowKind::Chat | RowKind::Dialogue => &OF_CHAT,
            RowKind::Instruction => &OF_INSTRUCTION,
            RowKind::Labelled => &OF_LABELLED,
            RowKind::Text | RowKind::Completion | RowKind::Tagged => &[],
        };
        let used =
            |key: &&String| !keys.contains(&key.as_str()) && !optional.contains(&key.as_str());
        let more: Vec<String> = map.keys().filter(used).cloned().collect();
        // What is not there may be there misspelt, and would be passed over in silence.
        let missing: Vec<String> = match kind {
            RowKind::Text => vec!["label".into()],
            RowKind::Chat | RowKind::Dialogue => OF_CHAT.map(str::to_owned).to_vec(),
            RowKind::Instruction => vec!["input".into()],
            RowKind::Labelled => OF_LABELLED.map(str::to_owned).to_vec(),
            RowKind::Completion | RowKind::Tagged => Vec::new(),
        };
        for key in &more {
            let meant = |name: &&String| strsim::osa_distance(&key.to_lowercase(), name) < 2;
            if let Some(near) = missing
                .iter()
                .filter(|name| !map.contains_key(*name))
                .find(meant)
            {
                return Err(format!(
                    "unknown key `{key}`, did you mean `{near}`? (a row is {FORMS})"
                ));
            }
        }
        let mut row = match kind {
            RowKind::Text => Self::Text {
                text: string(map, "text")?,
            },
            RowKind::Completion => Self::Completion {
                // Nothing given is what a model begins with.
                prompt: match &map["prompt"] {
                    Value::String(empty) if empty.is_empty() => String::new(),
                    _ => string(map, "prompt")?,
                },
                completion: string(map, "completion")?,
            },
            RowKind::Labelled => Self::Labelled {
                text: string(map, "text")?,
                pair: match map.contains_key("text_pair") {
                    true => Some(string(map, "text_pair")?),
                    false => None,
                },
                label: Label::parse(&map["label"])?,
            },
            RowKind::Tagged => tagged(&map["tokens"], &map["tags"])?,
            RowKind::Chat => Self::Chat {
                messages: answered(map, "messages")?,
                variables: template_variables(map)?,
            },
            RowKind::Dialogue => dialogue(map)?,
            RowKind::Instruction => Self::Instruction(Instruction::parse(map)?),
        };
        row.settle(options);
        Ok((row, more))
    }

    /// Puts in what the options say of conversations.
    fn settle(&mut self, options: &RowOptions) {
        let system = options.system.as_deref();
        let with_system = |messages: &mut Vec<Message>| {
            if let Some(system) = system
                && messages
                    .first()
                    .is_none_or(|first| first.role() != "system")
            {
                messages.insert(0, Message::new("system", system.into()));
            }
        };
        match self {
            Self::Chat { messages, .. } => {
                with_system(messages);
                let last = messages.iter().rposition(Message::is_assistant);
                for (i, message) in messages.iter_mut().enumerate() {
                    let other = options.turns == TrainTurns::Last && Some(i) != last;
                    if other && message.is_assistant() {
                        message.pass_over();
                    }
                }
            }
            Self::Dialogue { prompt, .. } => with_system(prompt),
            Self::Instruction(row) => {
                if row.system.is_none() {
                    row.system = system.map(str::to_owned);
                }
            }
            Self::Text { .. }
            | Self::Completion { .. }
            | Self::Labelled { .. }
            | Self::Tagged { .. } => {}
        }
    }
}

fn string(map: &Map<String, Value>, key: &str) -> Result<String, String> {
    match &map[key] {
        Value::String(text) if !text.is_empty() => Ok(text.clone()),
        Value::String(_) => Err(format!("`{key}` is empty")),
        _ => Err(format!("`{key}` is not a string")),
    }
}

fn tagged(words: &Value, tags: &Value) -> Result<Row, String> {
    let words = words.as_array().ok_or("`tokens` is not a list")?;
    let tags = tags.as_array().ok_or("`tags` is not a list")?;
    if words.is_empty() || words.len() != tags.len() {
        return Err(format!(
            "has {} tokens and {} tags; each token has one tag, and there is at least one",
            words.len(),
            tags.len()
        ));
    }
    let word = |word: &Value| {
        word.as_str()
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
    };
    Ok(Row::Tagged {
        words: words
            .iter()
            .map(|value| word(value).ok_or_else(|| format!("the token {value} is not a word")))
            .collect::<Result<_, _>>()?,
        tags: tags
            .iter()
            .map(LabelName::parse)
            .collect::<Result<_, _>>()?,
    })
}

/// The messages under a key, one of which is the assistant's.
fn answered(map: &Map<String, Value>, key: &str) -> Result<Vec<Message>, String> {
    let messages = conversation(&map[key]).map_err(|why| format!("`{key}` {why}"))?;
    match messages.iter().any(Message::is_assistant) {
        true => Ok(messages),
        false => Err(format!(
            "no message of `{key}` has the role `assistant`, so nothing is a target"
        )),
    }
}

fn dialogue(map: &Map<String, Value>) -> Result<Row, String> {
    if let Some(text) = ["prompt", "completion"]
        .iter()
        .find(|key| map[**key].is_string())
    {
        return Err(format!(
            "`{text}` is a string, and the other of `prompt` and `completion` a list of messages; both are one or the other"
        ));
    }
    let prompt = conversation(&map["prompt"]).map_err(|why| format!("`prompt` {why}"))?;
    if prompt.is_empty() {
        return Err("`prompt` has no message".into());
    }
    let completion = answered(map, "completion")?;
    match completion
        .iter()
        .position(|turn| turn.is_assistant() && !turn.is_target())
    {
        Some(turn) => Err(format!(
            "message {} of `completion` has the `weight` 0, but all of a completion is a target; {{\"messages\"}} choose turns by it",
            turn + 1
        )),
        None => Ok(Row::Dialogue {
            prompt,
            completion,
            variables: template_variables(map)?,
        }),
    }
}
