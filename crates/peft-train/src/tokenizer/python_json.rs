//! JSON as Python's `json.dumps` writes it, which templates show to models: a space after separators, other scripts as they are.

use serde_json::Value;

/// The arguments of `json.dumps`.
#[derive(Debug, Clone, Default)]
pub(super) struct JsonStyle {
    /// Write characters beyond ASCII as escapes.
    pub(super) ensure_ascii: bool,
    /// Spaces a level, each element on a line of its own.
    pub(super) indent: Option<usize>,
    /// Between elements, and between key and value.
    pub(super) separators: Option<[String; 2]>,
    pub(super) sort_keys: bool,
}

pub(super) fn dump(value: &Value, style: &JsonStyle) -> String {
    let [item, key] = style.separators.clone().unwrap_or_else(|| {
        let item = if style.indent.is_some() { "," } else { ", " };
        [item.into(), ": ".into()]
    });
    let mut out = String::new();
    Writer { style, item, key }.value(value, 0, &mut out);
    out
}

struct Writer<'a> {
    style: &'a JsonStyle,
    item: String,
    key: String,
}

impl Writer<'_> {
    fn value(&self, value: &Value, level: usize, out: &mut String) {
        match value {
            Value::String(text) => self.string(text, out),
            Value::Array(items) if items.is_empty() => out.push_str("[]"),
            Value::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    self.before(i, level + 1, out);
                    self.value(item, level + 1, out);
                }
                self.line(level, out);
                out.push(']');
            }
            Value::Object(map) if map.is_empty() => out.push_str("{}"),
            Value::Object(map) => {
                let mut pairs: Vec<(&String, &Value)> = map.iter().collect();
                if self.style.sort_keys {
                    pairs.sort_by_key(|(key, _)| *key);
                }
                out.push('{');
                for (i, (key, value)) in pairs.into_iter().enumerate() {
                    self.before(i, level + 1, out);
                    self.string(key, out);
                    out.push_str(&self.key);
                    self.value(value, level + 1, out);
                }
                self.line(level, out);
                out.push('}');
            }
            other => out.push_str(&other.to_string()),
        }
    }

    fn before(&self, i: usize, level: usize, out: &mut String) {
        if i > 0 {
            out.push_str(&self.item);
        }
        self.line(level, out);
    }

    fn line(&self, level: usize, out: &mut String) {
        if let Some(indent) = self.style.indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent * level));
        }
    }

    fn string(&self, text: &str, out: &mut String) {
        let json = Value::from(text).to_string();
        if !self.style.ensure_ascii {
            // Python escapes DEL in ASCII mode only, as serde_json never does.
            out.push_str(&json);
            return;
        }
        for c in json.chars() {
            if c.is_ascii() && c != '\u{7f}' {
                out.push(c);
            } else {
                let mut units = [0u16; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
}
