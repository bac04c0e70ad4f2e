//! Chat templates of a directory: files of them, and those in a tokenizer's config.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use peft_files::{Folder, NotFinite, python_json};
use serde_json::{Map, Value};

use super::CONFIG;
use crate::LARGEST_JSON;

/// The names of the files in `dir` that end so; at most so many.
pub(super) fn named(dir: &Path, end: &str, most: usize) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        if let Ok(name) = entry?.file_name().into_string()
            && name.ends_with(end)
        {
            names.push(name);
        }
        if names.len() > most {
            let what = format!("it has more than {most} files");
            return Err(io::Error::new(ErrorKind::InvalidData, what));
        }
    }
    names.sort();
    Ok(names)
}

/// The templates in a tokenizer's config, by name: one, which is the default, or several. Names
/// that are no names of files are left out.
pub(super) fn embedded(folder: &Folder) -> Vec<(String, String)> {
    let text = folder.read_text(CONFIG, LARGEST_JSON).unwrap_or_default();
    let fields: Map<String, Value> = python_json(&text, NotFinite::Null).unwrap_or_default();
    let named = |name: &Value, text: &Value| {
        let (name, text) = (name.as_str()?, text.as_str()?);
        let plain = !name.is_empty() && !name.contains(['/', '\\', '\0']);
        plain.then(|| (name.to_owned(), text.to_owned()))
    };
    match fields.get("chat_template") {
        Some(Value::String(text)) => vec![("default".to_owned(), text.clone())],
        Some(Value::Array(list)) => {
            let entry = |entry: &Value| named(&entry["name"], &entry["template"]);
            list.iter().filter_map(entry).collect()
        }
        Some(Value::Object(map)) => {
            let entries = map.iter();
            let entry = |(name, text): (&String, &Value)| named(&name.as_str().into(), text);
            entries.filter_map(entry).collect()
        }
        _ => Vec::new(),
    }
}
