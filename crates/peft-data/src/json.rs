//! One JSON object as a row.

use peft_files::{NotFinite, python_json};
use serde_json::{Map, Value};

use crate::columns::check_count;

/// The object that a text is. `line` is that which the text begins on, where it is one of several.
///
/// # Errors
///
/// Says what is wrong, and in which column, or line and column.
pub(crate) fn object(text: &str, line: Option<u64>) -> Result<Map<String, Value>, String> {
    // Where a text is, its error does not know.
    let value: Value = python_json(text, NotFinite::Null).map_err(|error| {
        let reason = error.to_string();
        let end = format!(" at line {} column {}", error.line(), error.column());
        let reason = reason.strip_suffix(&end).unwrap_or(&reason);
        let within = match (line, error.line()) {
            (Some(line), n) if n > 1 => format!("line {} ", line + n as u64 - 1),
            _ => String::new(),
        };
        format!("no JSON: {reason} at {within}column {}", error.column())
    })?;
    let what = match value {
        Value::Object(map) => {
            check_count(map.len())?;
            return Ok(map);
        }
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
    };
    Err(format!("not an object, but {what}"))
}
