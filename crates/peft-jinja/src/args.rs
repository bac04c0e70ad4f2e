//! [`Args`]: what a call is given.

use std::sync::Arc;

use crate::error::{Res, fail};
use crate::value::{Value, index_of};

#[derive(Debug, Default)]
pub(crate) struct Args {
    pub(crate) positional: Vec<Value>,
    pub(crate) named: Vec<(Arc<str>, Value)>,
}

impl Args {
    pub(crate) fn of(positional: Vec<Value>) -> Self {
        Self {
            positional,
            named: Vec::new(),
        }
    }

    /// The values of these parameters, of which the first so many have to be given.
    pub(crate) fn bind<const N: usize>(
        self,
        callee: &str,
        names: [&str; N],
        required: usize,
    ) -> Res<[Option<Value>; N]> {
        if self.positional.len() > N {
            let given = self.positional.len();
            return fail!("{callee} takes at most {N} arguments, not {given}");
        }
        let mut values = [const { None }; N];
        for (slot, value) in values.iter_mut().zip(self.positional) {
            *slot = Some(value);
        }
        for (name, value) in self.named {
            match names.iter().position(|other| **other == *name) {
                Some(at) if values[at].is_none() => values[at] = Some(value),
                Some(_) => return fail!("{callee} got two values for '{name}'"),
                None => return fail!("{callee} has no argument '{name}'"),
            }
        }
        for (name, value) in names.iter().zip(&values).take(required) {
            if value.is_none() {
                return fail!("{callee} needs '{name}'");
            }
        }
        Ok(values)
    }

    pub(crate) fn none(self, callee: &str) -> Res<()> {
        self.bind(callee, [], 0).map(|[]| ())
    }
}

/// An integer that may be left out.
pub(crate) fn int_or(value: Option<&Value>, default: i128) -> Res<i128> {
    value.map_or(Ok(default), index_of)
}

pub(crate) fn truth_or(value: Option<&Value>, default: bool) -> bool {
    value.map_or(default, Value::truth)
}

/// A value that is not `none`.
pub(crate) fn given(value: Option<Value>) -> Option<Value> {
    value.filter(|value| !matches!(value, Value::None))
}

pub(crate) fn text_of<'a>(value: &'a Value, callee: &str) -> Res<&'a str> {
    match value {
        Value::Str(text) => Ok(text),
        _ => fail!("{callee} takes a string, not {}", value.kind()),
    }
}
