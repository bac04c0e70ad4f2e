//! `tojson` as transformers sets it: Python's `json.dumps`, other scripts as they are.

use crate::args::{Args, given, truth_or};
use crate::budget::Budget;
use crate::error::{Fault, Res, fail};
use crate::limits::MAX_TEXT;
use crate::value::{Value, compare, float_text};

pub(crate) fn tojson(value: &Value, args: Args, budget: &Budget) -> Res<Value> {
    let names = ["ensure_ascii", "indent", "separators", "sort_keys"];
    let [ascii, indent, separators, sorted] = args.bind("tojson", names, 0)?;
    let indent = match given(indent) {
        None => None,
        Some(Value::Str(text)) => Some(text.to_string()),
        Some(n) => {
            let n = usize::try_from(crate::value::index_of(&n)?.max(0)).unwrap_or(usize::MAX);
            budget.text(n)?;
            Some(" ".repeat(n))
        }
    };
    let [item, key] = match given(separators) {
        None if indent.is_some() => [",".into(), ": ".into()],
        None => [", ".into(), ": ".into()],
        Some(Value::List(pair) | Value::Tuple(pair)) => match &pair.items[..] {
            [Value::Str(item), Value::Str(key)] => [item.to_string(), key.to_string()],
            _ => return fail!("separators are two strings"),
        },
        Some(other) => return fail!("separators are two strings, not {}", other.kind()),
    };
    let mut writer = Writer {
        out: String::new(),
        ascii: truth_or(ascii.as_ref(), false),
        sorted: truth_or(sorted.as_ref(), false),
        indent,
        item,
        key,
        budget,
    };
    writer.value(value, 0)?;
    budget.text(writer.out.len())?;
    Ok(Value::str(writer.out))
}

struct Writer<'a> {
    out: String,
    ascii: bool,
    sorted: bool,
    /// What a level is indented by, if each item has a line.
    indent: Option<String>,
    item: String,
    key: String,
    budget: &'a Budget,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value, level: usize) -> Res<()> {
        self.budget.step()?;
        if self.out.len() > MAX_TEXT {
            return Err(Fault::text_limit());
        }
        match value {
            Value::Str(text) => self.string(text),
            Value::List(seq) | Value::Tuple(seq) if seq.items.is_empty() => {
                self.out.push_str("[]");
            }
            Value::List(seq) | Value::Tuple(seq) => {
                self.out.push('[');
                for (i, item) in seq.items.iter().enumerate() {
                    self.before(i, level + 1)?;
                    self.value(item, level + 1)?;
                }
                self.line(level)?;
                self.out.push(']');
            }
            Value::Dict(dict) if dict.entries.is_empty() => self.out.push_str("{}"),
            Value::Dict(dict) => {
                let mut pairs: Vec<&(Value, Value)> = dict.entries.iter().collect();
                if self.sorted {
                    pairs = crate::sort::sorted(pairs, |a, b| {
                        Ok(compare(&a.0, &b.0, self.budget)? == Some(std::cmp::Ordering::Less))
                    })?;
                }
                self.out.push('{');
                for (i, (key, value)) in pairs.into_iter().enumerate() {
                    self.before(i, level + 1)?;
                    match key {
                        Value::Str(text) => self.string(text),
                        Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
                            self.out.push('"');
                            self.value(key, level)?;
                            self.out.push('"');
                        }
                        key => return fail!("keys of JSON are no {}", key.kind()),
                    }
                    self.out.push_str(&self.key);
                    self.value(value, level + 1)?;
                }
                self.line(level)?;
                self.out.push('}');
            }
            Value::None => self.out.push_str("null"),
            Value::Bool(value) => self.out.push_str(if *value { "true" } else { "false" }),
            Value::Int(value) => self.out.push_str(&value.to_string()),
            Value::Float(value) if value.is_nan() => self.out.push_str("NaN"),
            Value::Float(value) if value.is_infinite() => {
                self.out.push_str(if *value > 0.0 {
                    "Infinity"
                } else {
                    "-Infinity"
                });
            }
            Value::Float(value) => self.out.push_str(&float_text(*value)),
            other => {
                return fail!("Object of type {} is not JSON serializable", other.kind());
            }
        }
        Ok(())
    }

    fn before(&mut self, i: usize, level: usize) -> Res<()> {
        if i > 0 {
            self.out.push_str(&self.item);
        }
        self.line(level)
    }

    fn line(&mut self, level: usize) -> Res<()> {
        if let Some(indent) = &self.indent {
            self.budget.text(indent.len() * level)?;
            self.out.push('\n');
            self.out.push_str(&indent.repeat(level));
        }
        Ok(())
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\x08' => self.out.push_str("\\b"),
                '\x0c' => self.out.push_str("\\f"),
                c if c < ' ' || (self.ascii && !c.is_ascii()) || (self.ascii && c == '\x7f') => {
                    let mut units = [0u16; 2];
                    for unit in c.encode_utf16(&mut units) {
                        self.out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }
}
