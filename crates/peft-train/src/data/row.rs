//! [`Row`]: one object of a JSONL file, told apart by its keys.

use serde_json::{Map, Value};

use super::{Label, LabelName};

/// A turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Message {
    /// `system`, `user`, `assistant` ...
    pub role: String,
    /// What was said.
    pub content: String,
    /// What else the row has of the turn (`name`, `tool_calls` ...), for the chat template.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A row of training data.
///
/// `{"tokens", "tags"}` is the form of the field's CoNLL sets, whose columns are called `tokens` and `ner_tags` or `pos_tags`.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    },
    /// A text with what it is.
    Labelled {
        /// The text.
        text: String,
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
    /// `{"text", "label"}`
    Labelled,
    /// `{"tokens", "tags"}`
    Tagged,
}

const KEYS: [&str; 7] = [
    "text",
    "prompt",
    "completion",
    "messages",
    "label",
    "tokens",
    "tags",
];
const FORMS: &str = "{\"text\"}, {\"prompt\", \"completion\"}, {\"messages\"}, {\"text\", \"label\"} or {\"tokens\", \"tags\"}";

impl RowKind {
    /// The keys of such a row.
    pub fn keys(self) -> &'static str {
        match self {
            Self::Text => "{\"text\"}",
            Self::Completion => "{\"prompt\", \"completion\"}",
            Self::Chat => "{\"messages\"}",
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
            Self::Labelled { .. } => RowKind::Labelled,
            Self::Tagged { .. } => RowKind::Tagged,
        }
    }

    /// Read one line of a JSONL file.
    pub(super) fn parse(line: &str) -> Result<Self, String> {
        // The line is the file's, which the error does not know.
        let value: Value = serde_json::from_str(line).map_err(|error| {
            let reason = error.to_string();
            let end = format!(" at line 1 column {}", error.column());
            let reason = reason.strip_suffix(&end).unwrap_or(&reason);
            format!("no JSON: {reason} at column {}", error.column())
        })?;
        let Value::Object(map) = value else {
            return Err(format!("not an object; a row is {FORMS}"));
        };
        if let Some(key) = map.keys().find(|key| !KEYS.contains(&key.as_str())) {
            let known: Vec<String> = KEYS.iter().map(|key| (*key).to_owned()).collect();
            let hint = peft_core::nearest(key, &known)
                .map(|near| format!(", did you mean `{near}`?"))
                .unwrap_or_default();
            return Err(format!("unknown key `{key}`{hint} (a row is {FORMS})"));
        }
        let mut keys: Vec<&str> = map.keys().map(String::as_str).collect();
        keys.sort_unstable();
        match keys.as_slice() {
            ["text"] => Ok(Self::Text {
                text: string(&map, "text")?,
            }),
            ["completion", "prompt"] => Ok(Self::Completion {
                prompt: string(&map, "prompt")?,
                completion: string(&map, "completion")?,
            }),
            ["label", "text"] => Ok(Self::Labelled {
                text: string(&map, "text")?,
                label: Label::parse(&map["label"])?,
            }),
            ["tags", "tokens"] => tagged(&map["tokens"], &map["tags"]),
            ["messages"] => Ok(Self::Chat {
                messages: messages(&map["messages"])?,
            }),
            _ => Err(format!(
                "has the keys {}; a row is {FORMS}",
                keys.iter()
                    .map(|key| format!("`{key}`"))
                    .collect::<Vec<_>>()
                    .join(", ")
            )),
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

fn messages(value: &Value) -> Result<Vec<Message>, String> {
    let messages = conversation(value)?;
    if messages.iter().any(|message| message.role == "assistant") {
        Ok(messages)
    } else {
        Err("no message has the role `assistant`, so nothing is a target".into())
    }
}

/// The messages of a list, as rows have them.
///
/// # Errors
///
/// Says which message is wrong.
pub fn conversation(value: &Value) -> Result<Vec<Message>, String> {
    let list = value.as_array().ok_or("`messages` is not a list")?;
    list.iter()
        .enumerate()
        .map(|(i, message)| {
            let field = |key: &str| {
                message[key]
                    .as_str()
                    .map(str::to_owned)
                    .ok_or_else(|| format!("message {} has no string `{key}`", i + 1))
            };
            let mut more = message.as_object().cloned().unwrap_or_default();
            more.retain(|key, _| key != "role" && key != "content");
            Ok(Message {
                role: field("role")?,
                content: field("content")?,
                more,
            })
        })
        .collect()
}
