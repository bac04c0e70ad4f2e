//! `text.format(…)`.

use std::sync::Arc;

use super::{ascii, formatted};
use crate::budget::Budget;
use crate::error::{Res, fail};
use crate::value::{Value, printed, repr};

/// A step from a value to one within it.
pub(crate) enum Part<'a> {
    Attribute(&'a str),
    Item(Value),
}

type Lookup<'a> = dyn FnMut(&Value, Part<'_>) -> Res<Value> + 'a;

/// `format` with these arguments; `lookup` reads attributes and items as the sandbox lets it.
pub(crate) fn format(
    text: &str,
    positional: &[Value],
    named: &[(Arc<str>, Value)],
    budget: &Budget,
    lookup: &mut Lookup<'_>,
) -> Res<String> {
    budget.text(text.len())?;
    let mut fields = Fields {
        positional,
        named,
        budget,
        lookup,
        automatic: Some(0),
        manual: false,
    };
    let out = fields.text(text, 0)?;
    budget.text(out.len())?;
    Ok(out)
}

struct Fields<'a, 'b> {
    positional: &'a [Value],
    named: &'a [(Arc<str>, Value)],
    budget: &'a Budget,
    lookup: &'a mut Lookup<'b>,
    /// The number of the next field without one.
    automatic: Option<usize>,
    manual: bool,
}

impl Fields<'_, '_> {
    fn text(&mut self, text: &str, depth: usize) -> Res<String> {
        if depth > 2 {
            return fail!("fields within fields within fields");
        }
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            out.push_str(&rest[..at]);
            let sign = &rest[at..at + 1];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(sign) {
                out.push_str(sign);
                rest = after;
                continue;
            }
            if sign == "}" {
                return fail!("single '}}' encountered in format string");
            }
            let Some(end) = end_of(rest) else {
                return fail!("expected '}}' before end of string");
            };
            out.push_str(&self.field(&rest[..end], depth)?);
            self.budget.text(out.len() / 64)?;
            rest = &rest[end + 1..];
        }
        out.push_str(rest);
        Ok(out)
    }

    fn field(&mut self, field: &str, depth: usize) -> Res<String> {
        let mut bracket = false;
        let at = field.find(|c: char| {
            bracket = (bracket || c == '[') && c != ']';
            !bracket && matches!(c, '!' | ':')
        });
        let (name, rest) = field.split_at(at.unwrap_or(field.len()));
        let (conversion, spec) = match rest.strip_prefix('!') {
            Some(rest) => rest.split_once(':').unwrap_or((rest, "")),
            None => ("s?", rest.strip_prefix(':').unwrap_or_default()),
        };
        let value = self.value(name)?;
        let spec = self.text(spec, depth + 1)?;
        let text = match conversion {
            "s?" => return formatted(&value, &spec, self.budget),
            "s" => printed(&value, self.budget)?,
            "r" => repr(&value, self.budget)?,
            "a" => ascii(&repr(&value, self.budget)?),
            other => return fail!("unknown conversion specifier '{other}'"),
        };
        formatted(&Value::str(text), &spec, self.budget)
    }

    fn value(&mut self, field: &str) -> Res<Value> {
        let end = field.find(['.', '[']).unwrap_or(field.len());
        let (first, mut rest) = field.split_at(end);
        let number = match first {
            "" if field.is_empty() => {
                let Some(n) = self.automatic.filter(|_| !self.manual) else {
                    return fail!("cannot switch from manual field specification to automatic");
                };
                self.automatic = Some(n + 1);
                Some(n)
            }
            first if first.bytes().all(|b| b.is_ascii_digit()) => {
                if rest.is_empty() && self.automatic.is_some_and(|n| n > 0) {
                    return fail!("cannot switch from automatic field numbering to manual");
                }
                self.manual |= rest.is_empty();
                first.parse().ok()
            }
            _ => None,
        };
        let found = match number {
            Some(n) => self.positional.get(n),
            None => self
                .named
                .iter()
                .find(|(key, _)| **key == *first)
                .map(|(_, v)| v),
        };
        let Some(mut value) = found.cloned() else {
            return fail!("no argument '{first}' for the field '{{{field}}}'");
        };
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                value = (self.lookup)(&value, Part::Attribute(&after[..end]))?;
                rest = &after[end..];
            } else if let Some((key, after)) = rest[1..].split_once(']') {
                let key = match key.parse() {
                    Ok(n) if key.bytes().all(|b| b.is_ascii_digit()) => Value::Int(n),
                    _ => Value::str(key),
                };
                value = (self.lookup)(&value, Part::Item(key))?;
                rest = after;
            } else {
                return fail!("missing ']' in format string");
            }
        }
        Ok(value)
    }
}

/// The end of a field that may have fields in its specification.
fn end_of(text: &str) -> Option<usize> {
    let mut open = 0;
    for (i, c) in text.char_indices() {
        match c {
            '{' => open += 1,
            '}' if open == 0 => return Some(i),
            '}' => open -= 1,
            _ => {}
        }
    }
    None
}
