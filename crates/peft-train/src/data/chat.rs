//! [`Message`]: a turn of a conversation, as its row has it.

use peft_core::nearest;
use peft_files::{NotFinite, python_json};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A turn of a conversation: every key that the row gives it, in the row's order, since a chat
/// template may read any of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "Map<String, Value>", try_from = "Value")]
pub struct Message {
    fields: Map<String, Value>,
}

impl Message {
    /// # Errors
    ///
    /// Says what is wrong.
    fn parse(value: &Value) -> Result<Self, String> {
        let fields = value.as_object().ok_or("is not an object")?;
        let keys: Vec<String> = fields.keys().cloned().collect();
        let role = match fields.get("role") {
            Some(Value::String(role)) => role,
            _ => return Err("has no string `role`".into()),
        };
        match fields.get("content") {
            Some(Value::String(_)) => {}
            // What else it may say is in other keys, as `tool_calls`; what is written of nothing is
            // the template's.
            None | Some(Value::Null) if has_calls(fields) => {}
            Some(Value::Null) if role == "assistant" => {}
            None if role == "assistant" && nearest("content", &keys).is_none() => {}
            Some(Value::Array(parts)) => {
                let kinds = parts.iter().map(|part| part["type"].as_str());
                if let Some(kind) = kinds.into_iter().find(|kind| *kind != Some("text")) {
                    let kind = kind.unwrap_or("no");
                    return Err(format!(
                        "has a part of the type `{kind}`; only text parts are read"
                    ));
                }
            }
            _ => {
                return Err(
                    "has no `content`, which is a string, a list of text parts, or of the assistant's null"
                        .into(),
                );
            }
        }
        match fields.get("weight") {
            None | Some(Value::Null) => {}
            Some(weight) if weight.as_f64().is_some_and(|w| w == 0.0 || w == 1.0) => {}
            Some(weight) => return Err(format!("has the `weight` {weight}, expected 0 or 1")),
        }
        match fields.get("train") {
            None | Some(Value::Null | Value::Bool(_)) => {}
            Some(train) => return Err(format!("has the `train` {train}, expected true or false")),
        }
        Ok(Self {
            fields: fields.clone(),
        })
    }

    /// A turn with these keys alone.
    pub(super) fn new(role: &str, content: Value) -> Self {
        let fields = [("role", role.into()), ("content", content)];
        let fields = fields.map(|(key, value)| (key.to_owned(), value));
        Self {
            fields: fields.into_iter().collect(),
        }
    }

    /// `system`, `user`, `assistant` ...
    pub fn role(&self) -> &str {
        self.fields["role"].as_str().unwrap_or_default()
    }

    /// All that the row has of the turn.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// Whether it is the assistant's.
    pub(super) fn is_assistant(&self) -> bool {
        self.role() == "assistant"
    }

    /// Whether its tokens are targets: it is the assistant's, and has neither OpenAI's `weight: 0`
    /// nor Axolotl's `train: false`.
    pub(super) fn is_target(&self) -> bool {
        let weight = self.fields.get("weight").and_then(Value::as_f64);
        let train = self.fields.get("train").and_then(Value::as_bool);
        self.is_assistant() && weight != Some(0.0) && train != Some(false)
    }

    /// The same, and no target.
    pub(super) fn pass_over(&mut self) {
        self.fields.insert("weight".into(), 0.into());
    }
}

impl From<Message> for Map<String, Value> {
    fn from(message: Message) -> Self {
        message.fields
    }
}

impl TryFrom<Value> for Message {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        Self::parse(&value)
    }
}

fn has_calls(fields: &Map<String, Value>) -> bool {
    ["tool_calls", "function_call"].iter().any(|key| {
        let calls = fields.get(*key);
        calls.is_some_and(|calls| !calls.is_null())
    })
}

/// The messages of a list, as rows have them.
///
/// # Errors
///
/// Says which message is wrong.
pub fn conversation(value: &Value) -> Result<Vec<Message>, String> {
    let list = value.as_array().ok_or("is not a list of messages")?;
    list.iter()
        .enumerate()
        .map(|(i, message)| {
            Message::parse(message).map_err(|why| format!("message {} {why}", i + 1))
        })
        .collect()
}

/// What a row gives its template beside the messages, as TRL reads it: `tools`, a list or its JSON,
/// and `chat_template_kwargs`.
///
/// # Errors
///
/// Says which of the two is wrong.
pub fn template_variables(row: &Map<String, Value>) -> Result<Map<String, Value>, String> {
    let mut variables = match row.get("chat_template_kwargs") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(given)) => given.clone(),
        Some(_) => return Err("`chat_template_kwargs` is not an object".into()),
    };
    for name in ["messages", "add_generation_prompt"] {
        if variables.contains_key(name) {
            return Err(format!("`chat_template_kwargs` cannot set `{name}`"));
        }
    }
    let tools = match row.get("tools") {
        None => return Ok(variables),
        Some(Value::String(json)) => python_json(json, NotFinite::Null)
            .map_err(|error| format!("`tools` is no JSON: {error}"))?,
        Some(tools) => tools.clone(),
    };
    if !(tools.is_array() || tools.is_null()) {
        return Err("`tools` is not a list".into());
    }
    variables.insert("tools".into(), tools);
    Ok(variables)
}
