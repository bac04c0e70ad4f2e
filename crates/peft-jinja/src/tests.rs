//! Jinja2's tests, which follow `is`.

use crate::args::Args;
use crate::ast::{Binary, Comparison};
use crate::error::{Res, fail};
use crate::eval::Interp;
use crate::filters::is_filter;
use crate::methods::{is, same};
use crate::value::{Value, binary, equal, key_of, printed};

const TESTS: &[&str] = &[
    "odd",
    "even",
    "divisibleby",
    "defined",
    "undefined",
    "filter",
    "test",
    "none",
    "boolean",
    "false",
    "true",
    "integer",
    "float",
    "lower",
    "upper",
    "string",
    "mapping",
    "number",
    "sequence",
    "iterable",
    "callable",
    "sameas",
    "escaped",
    "in",
    "==",
    "eq",
    "equalto",
    "!=",
    "ne",
    ">",
    "gt",
    "greaterthan",
    "ge",
    ">=",
    "<",
    "lt",
    "lessthan",
    "<=",
    "le",
];

pub(crate) fn is_test(name: &str) -> bool {
    TESTS.contains(&name)
}

impl Interp<'_> {
    pub(crate) fn test(&mut self, name: &str, value: &Value, args: Args) -> Res<bool> {
        self.budget.step()?;
        let comparison = match name {
            "==" | "eq" | "equalto" => Some(Comparison::Eq),
            "!=" | "ne" => Some(Comparison::Ne),
            ">" | "gt" | "greaterthan" => Some(Comparison::Gt),
            ">=" | "ge" => Some(Comparison::Ge),
            "<" | "lt" | "lessthan" => Some(Comparison::Lt),
            "<=" | "le" => Some(Comparison::Le),
            "in" => Some(Comparison::In),
            _ => None,
        };
        if let Some(op) = comparison {
            let [other] = args.bind(name, ["other"], 1)?;
            return self.compared(op, value, &other.unwrap_or(Value::None));
        }
        let remainder = |by: &Value, wanted: i128| {
            let rest = binary(Binary::Mod, value, by, &self.budget)?;
            equal(&rest, &Value::Int(wanted), &self.budget)
        };
        match name {
            "divisibleby" => {
                let [by] = args.bind(name, ["num"], 1)?;
                return remainder(&by.unwrap_or(Value::None), 0);
            }
            "sameas" => {
                let [other] = args.bind(name, ["other"], 1)?;
                return Ok(other.is_some_and(|other| same(value, &other)));
            }
            _ => args.none(name)?,
        }
        Ok(match name {
            "odd" => remainder(&Value::Int(2), 1)?,
            "even" => remainder(&Value::Int(2), 0)?,
            "defined" => !value.is_undefined(),
            "undefined" => value.is_undefined(),
            "filter" => match value {
                Value::Str(name) => is_filter(name),
                other => key_of(other, &self.budget).map(|_| false)?,
            },
            "test" => match value {
                Value::Str(name) => is_test(name),
                other => key_of(other, &self.budget).map(|_| false)?,
            },
            "none" => matches!(value, Value::None),
            "boolean" => matches!(value, Value::Bool(_)),
            "false" => matches!(value, Value::Bool(false)),
            "true" => matches!(value, Value::Bool(true)),
            "integer" => matches!(value, Value::Int(_)),
            "float" => matches!(value, Value::Float(_)),
            "number" => matches!(value, Value::Bool(_) | Value::Int(_) | Value::Float(_)),
            "string" => matches!(value, Value::Str(_)),
            "mapping" => matches!(value, Value::Dict(_)),
            "lower" => is(&printed(value, &self.budget)?, "islower") == Some(true),
            "upper" => is(&printed(value, &self.budget)?, "isupper") == Some(true),
            "sequence" => {
                value.len().is_some() && !matches!(value, Value::View(..) | Value::Loop(_))
            }
            "iterable" => value.len().is_some() || matches!(value, Value::Iter(_) | Value::Loop(_)),
            "callable" => matches!(
                value,
                Value::Undefined(_)
                    | Value::Function(_)
                    | Value::Method(_)
                    | Value::Macro(_)
                    | Value::Loop(_)
                    | Value::Joiner(_)
            ),
            "escaped" => false,
            _ => return fail!("no test named '{name}'"),
        })
    }
}
