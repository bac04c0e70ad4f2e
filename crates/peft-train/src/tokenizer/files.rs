//! What a checkpoint's files say of its tokenizer beside `tokenizer.json`.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde_json::{Map, Value};

use super::chat_template::ChatTemplate;
use crate::TrainError;

/// The name of the template that is used where none is asked for.
pub(super) const DEFAULT: &str = "default";

/// A JSON file, or null where there is none.
pub(super) fn read_json(path: &Path) -> Result<Value, TrainError> {
    let Some(text) = read(path)? else {
        return Ok(Value::Null);
    };
    serde_json::from_str(&text).map_err(|error| TrainError::Tokenizer {
        path: path.into(),
        reason: error.to_string(),
    })
}

fn read(path: &Path) -> Result<Option<String>, TrainError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(TrainError::Io {
            action: "read",
            path: path.into(),
            source,
        }),
    }
}

/// The special tokens by their names (`bos_token` ...): those of `tokenizer_config.json`, else those of the older `special_tokens_map.json`.
pub(super) fn special_tokens(dir: &Path, config: &Value) -> Result<Map<String, Value>, TrainError> {
    let older = read_json(&dir.join("special_tokens_map.json"))?;
    let mut tokens = Map::new();
    for fields in [&older, config] {
        for (name, value) in fields.as_object().into_iter().flatten() {
            if name.ends_with("_token")
                && let Some(token) = token(value)
            {
                tokens.insert(name.clone(), token.into());
            }
        }
    }
    Ok(tokens)
}

/// A special token, written as a string or as an object with its content.
fn token(value: &Value) -> Option<String> {
    value
        .as_str()
        .or_else(|| value["content"].as_str())
        .map(str::to_owned)
}

/// The chat templates by name: files before the config, which has one or a list of named ones.
pub(super) fn templates(
    dir: &Path,
    config: &Value,
) -> Result<BTreeMap<String, ChatTemplate>, TrainError> {
    let mut templates = BTreeMap::new();
    let mut add = |name: &str, source: String| {
        templates.insert(name.to_owned(), ChatTemplate::new(source));
    };
    match &config["chat_template"] {
        Value::String(source) => add(DEFAULT, source.clone()),
        Value::Array(named) => {
            for entry in named {
                if let (Some(name), Some(source)) =
                    (entry["name"].as_str(), entry["template"].as_str())
                {
                    add(name, source.to_owned());
                }
            }
        }
        _ => {}
    }
    if let Some(source) = read(&dir.join("chat_template.jinja"))? {
        add(DEFAULT, source);
    }
    let more = dir.join("additional_chat_templates");
    for entry in fs::read_dir(&more).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = path.file_stem().and_then(|stem| stem.to_str());
        if let (Some(name), Some("jinja")) = (name, path.extension().and_then(|e| e.to_str()))
            && let Some(source) = read(&path)?
        {
            add(name, source);
        }
    }
    Ok(templates)
}
