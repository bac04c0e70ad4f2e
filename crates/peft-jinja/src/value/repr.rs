//! Python's `str` and `repr`.

use std::fmt::Write;
use std::rc::Rc;

use super::{Value, View};
use crate::budget::Budget;
use crate::error::{Fault, Res};
use crate::limits::MAX_TEXT;
use crate::text::is_printable;

/// Values within each other, through namespaces too.
const MAX_REPR_DEPTH: usize = 1_000;

/// What Python's `str` gives.
pub(crate) fn printed(value: &Value, budget: &Budget) -> Res<String> {
    match value {
        Value::Undefined(_) => Ok(String::new()),
        Value::Str(text) => {
            budget.text(text.len())?;
            Ok(text.to_string())
        }
        value => repr(value, budget),
    }
}

/// What Python's `repr` gives.
pub(crate) fn repr(value: &Value, budget: &Budget) -> Res<String> {
    let mut writer = Writer {
        out: String::new(),
        within: Vec::new(),
        budget,
    };
    writer.value(value)?;
    budget.text(writer.out.len())?;
    Ok(writer.out)
}

struct Writer<'a> {
    out: String,
    /// What is being written: a value within itself is told by its brackets.
    within: Vec<*const ()>,
    budget: &'a Budget,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value) -> Res<()> {
        self.budget.step()?;
        if self.out.len() > MAX_TEXT {
            return Err(Fault::text_limit());
        }
        match value {
            Value::Undefined(_) => self.out.push_str("Undefined"),
            Value::None => self.out.push_str("None"),
            Value::Bool(true) => self.out.push_str("True"),
            Value::Bool(false) => self.out.push_str("False"),
            Value::Int(value) => self.write(format_args!("{value}")),
            Value::Float(value) => self.out.push_str(&float_text(*value)),
            Value::Str(text) => {
                self.budget.text(text.len())?;
                self.string(text);
            }
            Value::List(seq) => {
                self.within(Rc::as_ptr(seq).cast(), "[", "]", |w| w.items(&seq.items))?
            }
            Value::Tuple(seq) => self.within(Rc::as_ptr(seq).cast(), "(", ")", |w| {
                w.items(&seq.items)?;
                if seq.items.len() == 1 {
                    w.out.push(',');
                }
                Ok(())
            })?,
            Value::Dict(dict) => self.within(Rc::as_ptr(dict).cast(), "{", "}", |w| {
                w.pairs(dict.entries.iter().map(|(key, value)| (key, value)))
            })?,
            Value::Range(span) => {
                self.write(format_args!("range({}, {}", span.start, span.stop));
                if span.step != 1 {
                    self.write(format_args!(", {}", span.step));
                }
                self.out.push(')');
            }
            Value::View(view, dict) => {
                self.write(format_args!("{}([", value.kind()));
                for (i, (key, value)) in dict.entries.iter().enumerate() {
                    self.out.push_str(if i > 0 { ", " } else { "" });
                    match view {
                        View::Keys => self.value(key)?,
                        View::Values => self.value(value)?,
                        View::Items => {
                            self.out.push('(');
                            self.value(key)?;
                            self.out.push_str(", ");
                            self.value(value)?;
                            self.out.push(')');
                        }
                    }
                }
                self.out.push_str("])");
            }
            Value::Namespace(space) => {
                self.out.push_str("<Namespace ");
                self.within(Rc::as_ptr(space).cast(), "{", "}", |w| {
                    let attributes = space.attributes.borrow();
                    let name = |(name, value): &(std::sync::Arc<str>, Value)| {
                        (Value::Str(name.clone()), value.clone())
                    };
                    let pairs: Vec<(Value, Value)> = attributes.iter().map(name).collect();
                    w.pairs(pairs.iter().map(|(key, value)| (key, value)))
                })?;
                self.out.push('>');
            }
            Value::Loop(state) => {
                self.write(format_args!("<LoopContext {}", state.index0.get() + 1));
                match state.len.get() {
                    Some(len) => self.write(format_args!("/{len}>")),
                    None => self.out.push('>'),
                }
            }
            Value::Macro(def) => {
                self.out.push_str("<Macro ");
                self.string(&def.def.name);
                self.out.push('>');
            }
            Value::Iter(iter) => self.write(format_args!("<{}>", iter.name)),
            Value::Method(method) => self.write(format_args!(
                "<built-in method {} of {} object>",
                method.1,
                method.0.kind()
            )),
            Value::Cycler(_) | Value::Joiner(_) => {
                self.write(format_args!("<{} object>", value.kind()));
            }
            Value::Function(name) => self.write(format_args!("<function {name}>")),
        }
        Ok(())
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        // A string takes all that is written.
        let _ = self.out.write_fmt(text);
    }

    fn within(
        &mut self,
        at: *const (),
        open: &str,
        close: &str,
        inside: impl FnOnce(&mut Self) -> Res<()>,
    ) -> Res<()> {
        self.budget.steps(self.within.len() / 8)?;
        self.out.push_str(open);
        if self.within.contains(&at) {
            self.out.push_str("...");
        } else if self.within.len() >= MAX_REPR_DEPTH {
            return Err(Fault::Limit(format!("values {MAX_REPR_DEPTH} levels deep")));
        } else {
            self.within.push(at);
            inside(self)?;
            self.within.pop();
        }
        self.out.push_str(close);
        Ok(())
    }

    fn items(&mut self, items: &[Value]) -> Res<()> {
        for (i, item) in items.iter().enumerate() {
            self.out.push_str(if i > 0 { ", " } else { "" });
            self.value(item)?;
        }
        Ok(())
    }

    fn pairs<'v>(&mut self, pairs: impl Iterator<Item = (&'v Value, &'v Value)>) -> Res<()> {
        for (i, (key, value)) in pairs.enumerate() {
            self.out.push_str(if i > 0 { ", " } else { "" });
            self.value(key)?;
            self.out.push_str(": ");
            self.value(value)?;
        }
        Ok(())
    }

    fn string(&mut self, text: &str) {
        let quote = if text.contains('\'') && !text.contains('"') {
            '"'
        } else {
            '\''
        };
        self.out.push(quote);
        for c in text.chars() {
            match c {
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\\' => self.out.push_str("\\\\"),
                c if c == quote => self.out.extend(['\\', c]),
                c if is_printable(c) => self.out.push(c),
                c => match c as u32 {
                    code @ ..=0xff => self.write(format_args!("\\x{code:02x}")),
                    code @ ..=0xffff => self.write(format_args!("\\u{code:04x}")),
                    code => self.write(format_args!("\\U{code:08x}")),
                },
            }
        }
        self.out.push(quote);
    }
}

/// A float in the fewest digits that give it back.
pub(crate) fn float_text(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.into();
    }
    let shortest = format!("{value:e}");
    let (digits, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = format!("{value}");
        return if plain.contains('.') {
            plain
        } else {
            plain + ".0"
        };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}
