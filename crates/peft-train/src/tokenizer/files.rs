//! Reading the files beside `tokenizer.json`, and which of them has the chat template.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use peft_files::{Folder, NotFinite, python_json};
use serde_json::{Map, Value};

use super::chat_template::ChatTemplate;
use crate::TrainError;

/// The name of the template that is used where none is asked for.
pub(super) const DEFAULT: &str = "default";

/// The largest file that is read beside `tokenizer.json`: hundreds of times what the field's have.
const LARGEST: u64 = 64 << 20;

/// The directory of the templates beside the default one.
const MORE: &str = "additional_chat_templates";

/// The object of a JSON file, or null where there is none.
pub(super) fn read_json(folder: &Folder, name: &str) -> Result<Value, TrainError> {
    let Some(text) = read(folder, name, LARGEST)? else {
        return Ok(Value::Null);
    };
    let map: Map<String, Value> = python_json(&text, NotFinite::Null)
        .map_err(|error| wrong(&folder.file(name), error.to_string()))?;
    Ok(Value::Object(map))
}

/// The text of a file of at most so many bytes, or none where there is no such file. What is no
/// file, as a pipe, is refused: to read it may never end.
pub(super) fn read(
    folder: &Folder,
    name: &str,
    largest: u64,
) -> Result<Option<String>, TrainError> {
    let path = folder.file(name);
    match folder.read_text(name, largest) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if [ErrorKind::InvalidInput, ErrorKind::InvalidData].contains(&error.kind()) => {
            Err(wrong(&path, error.to_string()))
        }
        Err(source) => Err(TrainError::Io {
            action: "read",
            path,
            source,
        }),
    }
}

/// That a file does not hold what it should.
pub(super) fn wrong(path: &Path, reason: String) -> TrainError {
    TrainError::Tokenizer {
        path: path.into(),
        reason,
    }
}

/// The chat templates by name. `chat_template.jinja` is the default one and
/// `additional_chat_templates/NAME.jinja` others; where there is any of these files, the
/// `chat_template` of `tokenizer_config.json`, one text or several named ones, is not looked at, as
/// in transformers. `chat_template.json` is for processors of images and sound, which no tokenizer
/// reads.
pub(super) fn templates(
    folder: &Folder,
    config: &Value,
) -> Result<BTreeMap<String, ChatTemplate>, TrainError> {
    let mut templates = BTreeMap::new();
    let mut add = |name: &str, source: String| {
        templates.insert(name.to_owned(), ChatTemplate::new(source));
    };
    if let Some(source) = read_template(folder, "chat_template.jinja")? {
        add(DEFAULT, source);
    }
    let entries = fs::read_dir(folder.file(MORE)).into_iter();
    for entry in entries.flatten().flatten() {
        let file = entry.file_name();
        let file = file.to_str().unwrap_or_default();
        if let Some(name) = file.strip_suffix(".jinja")
            && let Some(source) = read_template(folder, &format!("{MORE}/{file}"))?
        {
            add(name, source);
        }
    }
    if !templates.is_empty() {
        return Ok(templates);
    }
    let path = folder.file("tokenizer_config.json");
    let bad = || {
        let form = "a text, or a list of objects with the texts `name` and `template`";
        wrong(&path, format!("`chat_template` is not {form}"))
    };
    let mut add = |name: &str, source: &str| {
        templates.insert(name.to_owned(), ChatTemplate::new(source.to_owned()));
    };
    match &config["chat_template"] {
        Value::Null => {}
        Value::String(source) => add(DEFAULT, source),
        Value::Array(named) => {
            for entry in named {
                let text = |key: &str| entry[key].as_str().ok_or_else(bad);
                add(text("name")?, text("template")?);
            }
        }
        Value::Object(named) => {
            for (name, source) in named {
                add(name, source.as_str().ok_or_else(bad)?);
            }
        }
        Value::Bool(_) | Value::Number(_) => return Err(bad()),
    }
    Ok(templates)
}

/// A template's file, with the ends of its lines as Python reads them.
fn read_template(folder: &Folder, name: &str) -> Result<Option<String>, TrainError> {
    let source = read(folder, name, LARGEST)?;
    Ok(source.map(|source| source.replace("\r\n", "\n").replace('\r', "\n")))
}
