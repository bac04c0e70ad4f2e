//! [`shaped`]: rows as the field writes them, with the keys of [`Row`](super::Row)'s forms.

use peft_files::{NotFinite, python_json};
use serde_json::{Map, Value, json};

use super::RowOptions;

/// Keys whose value is no text, and may be written as JSON in one.
const OF_JSON: [&str; 6] = [
    "messages",
    "conversations",
    "tokens",
    "tags",
    "tools",
    "chat_template_kwargs",
];
/// Names of the two texts of a pair, of which a row has both.
const PAIRS: [[&str; 2]; 5] = [
    ["sentence1", "sentence2"],
    ["premise", "hypothesis"],
    ["question1", "question2"],
    ["text1", "text2"],
    ["text_a", "text_b"],
];
/// Who speaks in ShareGPT's conversations, and what the role is.
const ROLES: [(&str, &[&str]); 4] = [
    ("user", &["human", "user"]),
    (
        "assistant",
        &["gpt", "assistant", "chatgpt", "model", "bot"],
    ),
    ("system", &["system"]),
    (
        "tool",
        &["tool", "observation", "function_response", "function"],
    ),
];
/// Who speaks where the assistant calls a function.
const CALL: &str = "function_call";

/// How a file writes what its rows have.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Writing {
    /// Every value is a string.
    pub(super) text: bool,
    /// Every row has every column, and null for nothing.
    pub(super) nulls: bool,
}

/// The row with its columns under the keys of this crate's forms: by the options, and where it is
/// of a known shape: ShareGPT's conversations, Alpaca's and Dolly's instructions, GLUE's pairs of
/// texts.
///
/// # Errors
///
/// Says what is wrong.
pub(super) fn shaped(
    mut row: Map<String, Value>,
    writing: Writing,
    options: &RowOptions,
) -> Result<Map<String, Value>, String> {
    if writing.nulls {
        row.retain(|_, value| !value.is_null());
    }
    let prompt = options.template.as_ref().map(|of| of.fill(&row));
    let prompt = prompt.transpose()?;
    options.columns.rename(&mut row)?;
    if let (Some(prompt), Some(template)) = (prompt, &options.template) {
        for column in template.columns() {
            row.shift_remove(column);
        }
        if !row.contains_key("completion")
            && let Some(answer) = row.shift_remove("output")
        {
            row.insert("completion".into(), answer);
        }
        row.insert("prompt".into(), Value::String(prompt));
    }
    if writing.text {
        typed(&mut row)?;
    }
    for key in OF_JSON {
        if let Some(Value::String(text)) = row.get(key) {
            let read = python_json(text, NotFinite::Null);
            let value: Value = read.map_err(|error| {
                format!("`{key}` is a string that is no JSON ({error}); Python's own writing of lists is not read")
            })?;
            row.insert(key.into(), value);
        }
    }
    if !row.contains_key("messages")
        && let Some(turns) = row.shift_remove("conversations")
    {
        row.insert("messages".into(), turns);
    }
    if let Some(Value::Array(turns)) = row.get_mut("messages") {
        for (i, turn) in turns.iter_mut().enumerate() {
            share_gpt(turn).map_err(|why| format!("message {} {why}", i + 1))?;
        }
        if let Some(Value::String(system)) = row.shift_remove("system")
            && let Some(Value::Array(turns)) = row.get_mut("messages")
            && !system.is_empty()
            && turns.first().is_none_or(|turn| turn["role"] != "system")
        {
            turns.insert(0, json!({ "role": "system", "content": system }));
        }
    }
    let of_pair = |row: &Map<String, Value>| {
        let whole = |names: &&[&str; 2]| names.iter().all(|name| row.contains_key(*name));
        PAIRS.iter().find(whole)
    };
    if !row.contains_key("text")
        && let Some(names) = of_pair(&row)
    {
        for (name, key) in names.iter().zip(["text", "text_pair"]) {
            if let Some(text) = row.shift_remove(*name) {
                row.insert(key.into(), text);
            }
        }
    }
    if row.contains_key("instruction") {
        // Dolly's names.
        for (key, other) in [("output", "response"), ("input", "context")] {
            if !row.contains_key(key)
                && let Some(value) = row.shift_remove(other)
            {
                row.insert(key.into(), value);
            }
        }
    }
    Ok(row)
}

/// Gives the cells of a table the types that they write.
fn typed(row: &mut Map<String, Value>) -> Result<(), String> {
    for key in OF_JSON {
        if row.get(key).is_some_and(|cell| cell == "") {
            row.shift_remove(key);
        }
    }
    if let Some(Value::String(cell)) = row.get("label") {
        let written = cell.trim();
        let value = match written {
            "" => return Err("`label` is empty".into()),
            "True" | "TRUE" => Some(Value::Bool(true)),
            "False" | "FALSE" => Some(Value::Bool(false)),
            _ => serde_json::from_str(written).ok(),
        };
        let typed = |value: &Value| value.is_number() || value.is_boolean() || value.is_array();
        if let Some(value) = value.filter(typed) {
            row.insert("label".into(), value);
        }
    }
    for key in ["prompt", "completion"] {
        if let Some(Value::String(cell)) = row.get(key)
            && cell.trim_start().starts_with("[{")
            && let Ok(Value::Array(turns)) = serde_json::from_str(cell)
            && turns.iter().all(|turn| turn["role"].is_string())
        {
            row.insert(key.into(), Value::Array(turns));
        }
    }
    Ok(())
}

/// A turn of ShareGPT's with the keys of a message.
fn share_gpt(turn: &mut Value) -> Result<(), String> {
    let Some(fields) = turn.as_object_mut() else {
        return Ok(());
    };
    if fields.contains_key("role") || !fields.contains_key("from") {
        return Ok(());
    }
    let Some(Value::String(from)) = fields.get("from") else {
        return Err("has a `from` that is no string".into());
    };
    let from = from.to_lowercase();
    let role = ROLES.iter().find(|(_, names)| names.contains(&&*from));
    let mut message = Map::new();
    match (role, fields.get("value")) {
        (_, None) => return Err("has a `from` and no `value`".into()),
        (Some((role, _)), Some(value)) => {
            message.insert("role".into(), (*role).into());
            message.insert("content".into(), value.clone());
        }
        (None, Some(Value::String(call))) if from == CALL => {
            let call: Value = serde_json::from_str(call)
                .map_err(|error| format!("calls a function by what is no JSON: {error}"))?;
            let calls = match call {
                Value::Array(calls) => calls,
                call => vec![call],
            };
            let calls: Vec<Value> = calls
                .into_iter()
                .map(|call| json!({ "type": "function", "function": call }))
                .collect();
            message.insert("role".into(), "assistant".into());
            message.insert("content".into(), "".into());
            message.insert("tool_calls".into(), calls.into());
        }
        (None, Some(_)) => {
            let known = ROLES.iter().flat_map(|(_, names)| *names);
            let known: Vec<&str> = known.copied().chain([CALL]).collect();
            return Err(format!("is from `{from}`; known are {}", known.join(", ")));
        }
    }
    let more = fields
        .iter()
        .filter(|(key, _)| *key != "from" && *key != "value");
    message.extend(more.map(|(key, value)| (key.clone(), value.clone())));
    *fields = message;
    Ok(())
}
