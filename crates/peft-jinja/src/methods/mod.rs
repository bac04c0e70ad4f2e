//! The methods of Python's values that a template may call.

mod strings;

use std::rc::Rc;

pub(crate) use strings::{is, stripped};

use crate::args::{Args, int_or};
use crate::error::{Res, fail};
use crate::eval::Interp;
use crate::value::{Value, View, equal, index_of, key_of};

const STR_METHODS: &[&str] = &[
    "capitalize",
    "casefold",
    "center",
    "count",
    "encode",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "maketrans",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "translate",
    "upper",
    "zfill",
];

pub(crate) fn methods_of(value: &Value) -> &'static [&'static str] {
    match value {
        Value::Str(_) => STR_METHODS,
        Value::List(_) => &["copy", "count", "index"],
        Value::Tuple(_) | Value::Range(_) => &["count", "index"],
        Value::Dict(_) => &["copy", "fromkeys", "get", "items", "keys", "values"],
        Value::Int(_) | Value::Bool(_) => &["bit_count", "bit_length", "conjugate"],
        Value::Float(_) => &["conjugate", "is_integer"],
        Value::Cycler(_) => &["next", "reset"],
        Value::Function(name) if **name == *"dict" => &["fromkeys"],
        _ => &[],
    }
}

/// Whether it is a method that changes a value, which the sandbox hides.
pub(crate) fn forbidden(value: &Value, name: &str) -> bool {
    let names: &[&str] = match value {
        Value::List(_) => &[
            "append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort",
        ],
        Value::Dict(_) => &["clear", "pop", "popitem", "setdefault", "update"],
        _ => &[],
    };
    names.contains(&name)
}

impl Interp<'_> {
    pub(crate) fn method(&mut self, value: &Value, name: &str, args: Args) -> Res<Value> {
        if let (Value::Loop(state), _) = (value, name) {
            return self.loop_method(state, name, args);
        }
        if let Value::Str(text) = value {
            return self.str_method(text, name, args);
        }
        if name == "fromkeys" {
            let [keys, value] = args.bind(name, ["iterable", "value"], 1)?;
            let keys = self.items(&keys.unwrap_or(Value::None))?;
            let value = value.unwrap_or(Value::None);
            let pairs = keys.into_iter().map(|key| (key, value.clone())).collect();
            return Value::dict(pairs, &self.budget);
        }
        if !args.named.is_empty() {
            return fail!("{name} takes no named arguments");
        }
        match (value, name) {
            (Value::Dict(dict), "get") => {
                let [key, default] = args.bind(name, ["key", "default"], 1)?;
                let key = key_of(&key.unwrap_or(Value::None), &self.budget)?;
                let found = dict.get(&key).cloned();
                Ok(found.or(default).unwrap_or(Value::None))
            }
            (Value::List(_) | Value::Tuple(_) | Value::Range(_), "count") => {
                let [item] = args.bind(name, ["value"], 1)?;
                let item = item.unwrap_or(Value::None);
                let mut count = 0usize;
                for other in self.items(value)? {
                    count += usize::from(equal(&item, &other, &self.budget)?);
                }
                Ok(count.into())
            }
            (Value::List(_) | Value::Tuple(_) | Value::Range(_), "index") => {
                let [item, start, stop] = args.bind(name, ["value", "start", "stop"], 1)?;
                let item = item.unwrap_or(Value::None);
                let items = self.items(value)?;
                let len = items.len() as i128;
                let bound = |at: i128| if at < 0 { (at + len).max(0) } else { at };
                let start = bound(int_or(start.as_ref(), 0)?);
                let stop = bound(int_or(stop.as_ref(), len)?);
                for (i, other) in items.iter().enumerate() {
                    let within = (start..stop).contains(&(i as i128));
                    if within && equal(&item, other, &self.budget)? {
                        return Ok(i.into());
                    }
                }
                fail!("the value is not in the {}", value.kind())
            }
            (Value::Cycler(cycler), "next") => {
                args.none(name)?;
                let at = cycler.at.get();
                cycler.at.set((at + 1) % cycler.items.len());
                Ok(cycler.items[at].clone())
            }
            (Value::Cycler(cycler), "reset") => {
                args.none(name)?;
                cycler.at.set(0);
                Ok(Value::None)
            }
            _ => {
                args.none(name)?;
                self.plain_method(value, name)
            }
        }
    }

    /// Methods without arguments.
    fn plain_method(&self, value: &Value, name: &str) -> Res<Value> {
        Ok(match (value, name) {
            (Value::Dict(dict), "items") => Value::View(View::Items, dict.clone()),
            (Value::Dict(dict), "keys") => Value::View(View::Keys, dict.clone()),
            (Value::Dict(dict), "values") => Value::View(View::Values, dict.clone()),
            (Value::Dict(dict), "copy") => Value::dict(dict.entries.clone(), &self.budget)?,
            (Value::List(seq), "copy") => Value::list(seq.items.clone(), &self.budget)?,
            (Value::Float(value), "is_integer") => (value.fract() == 0.0).into(),
            (Value::Float(_), "conjugate") => value.clone(),
            (value, "conjugate") => Value::Int(index_of(value)?),
            (value, "bit_length") => Value::Int(i128::from(
                128 - index_of(value)?.unsigned_abs().leading_zeros(),
            )),
            (value, "bit_count") => {
                Value::Int(i128::from(index_of(value)?.unsigned_abs().count_ones()))
            }
            (value, name) => return fail!("'{}' has no method '{name}'", value.kind()),
        })
    }

    pub(crate) fn reversed(&mut self, value: &Value) -> Res<Value> {
        if let Value::Str(text) = value {
            self.budget.text(text.len())?;
            return Ok(Value::str(text.chars().rev().collect::<String>()));
        }
        let mut items = self.items(value)?;
        items.reverse();
        match value {
            Value::Iter(_) => Value::list(items, &self.budget),
            Value::List(_) => Value::iter("list_reverseiterator object", items, &self.budget),
            Value::Range(_) => Value::iter("range_iterator object", items, &self.budget),
            Value::Dict(_) | Value::View(View::Keys, _) => {
                Value::iter("dict_reversekeyiterator object", items, &self.budget)
            }
            Value::View(View::Values, _) => {
                Value::iter("dict_reversevalueiterator object", items, &self.budget)
            }
            Value::View(View::Items, _) => {
                Value::iter("dict_reverseitemiterator object", items, &self.budget)
            }
            _ => Value::iter("reversed object", items, &self.budget),
        }
    }
}

/// A value without a second reference to it, for what is compared by place.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::None, Value::None) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(a), Value::Int(b)) => a == b,
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::Str(a), Value::Str(b)) => a == b,
        (Value::Function(a), Value::Function(b)) => a == b,
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => Rc::ptr_eq(a, b),
        (Value::Dict(a), Value::Dict(b)) => Rc::ptr_eq(a, b),
        (Value::Namespace(a), Value::Namespace(b)) => Rc::ptr_eq(a, b),
        (Value::Loop(a), Value::Loop(b)) => Rc::ptr_eq(a, b),
        (Value::Macro(a), Value::Macro(b)) => Rc::ptr_eq(a, b),
        (Value::Undefined(a), Value::Undefined(b)) => Rc::ptr_eq(a, b),
        (Value::Iter(a), Value::Iter(b)) => Rc::ptr_eq(a, b),
        _ => false,
    }
}
