//! Arithmetic and what strings and lists make of its signs.

use super::{Value, repeated_len};
use crate::ast::Binary;
use crate::budget::Budget;
use crate::error::{Fault, Res, fail};
use crate::format::percent;
use crate::limits::MAX_TEXT;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Number {
    Int(i128),
    Float(f64),
}

impl Number {
    pub(crate) fn float(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Float(value) => value,
        }
    }
}

/// The number that a value is; `true` is one.
pub(crate) fn number(value: &Value) -> Option<Number> {
    match value {
        Value::Bool(value) => Some(Number::Int(i128::from(*value))),
        Value::Int(value) => Some(Number::Int(*value)),
        Value::Float(value) => Some(Number::Float(*value)),
        _ => None,
    }
}

/// The integer that a value is.
pub(crate) fn index_of(value: &Value) -> Res<i128> {
    match value {
        Value::Bool(value) => Ok(i128::from(*value)),
        Value::Int(value) => Ok(*value),
        Value::Undefined(why) => Err(Fault::Failed(why.message())),
        _ => fail!(
            "'{}' object cannot be interpreted as an integer",
            value.kind()
        ),
    }
}

/// A float without its fraction, as an integer.
pub(crate) fn whole(value: f64) -> Res<Value> {
    if value.is_finite() && value.abs() < 1e38 {
        return Ok(Value::Int(value.trunc() as i128));
    }
    fail!("{value} is no integer within 127 bits")
}

fn too_large<T>() -> Res<T> {
    fail!("a number beyond 127 bits")
}

pub(crate) fn binary(op: Binary, a: &Value, b: &Value, budget: &Budget) -> Res<Value> {
    if let (Value::Str(format), Binary::Mod) = (a, op) {
        return Ok(Value::str(percent(format, b, budget)?));
    }
    for value in [a, b] {
        if let Value::Undefined(why) = value {
            return Err(Fault::Failed(why.message()));
        }
    }
    if let (Some(a), Some(b)) = (number(a), number(b)) {
        return match (a, b) {
            (Number::Int(a), Number::Int(b)) => integers(op, a, b),
            (a, b) => floats(op, a.float(), b.float()),
        };
    }
    match (op, a, b) {
        (Binary::Add, Value::Str(a), Value::Str(b)) => {
            budget.text(a.len() + b.len())?;
            Ok(Value::str([&**a, &**b].concat()))
        }
        (Binary::Add, Value::List(a), Value::List(b)) => {
            Value::list([&a.items[..], &b.items[..]].concat(), budget)
        }
        (Binary::Add, Value::Tuple(a), Value::Tuple(b)) => {
            Value::tuple([&a.items[..], &b.items[..]].concat(), budget)
        }
        (Binary::Mul, seq, times) | (Binary::Mul, times, seq)
            if matches!(times, Value::Int(_) | Value::Bool(_)) =>
        {
            repeat(seq, index_of(times)?, budget)
        }
        _ => fail!(
            "unsupported operand types for {}: '{}' and '{}'",
            sign(op),
            a.kind(),
            b.kind()
        ),
    }
}

fn sign(op: Binary) -> &'static str {
    match op {
        Binary::Add => "+",
        Binary::Sub => "-",
        Binary::Mul => "*",
        Binary::Div => "/",
        Binary::FloorDiv => "//",
        Binary::Mod => "%",
        Binary::Pow => "**",
    }
}

fn repeat(value: &Value, times: i128, budget: &Budget) -> Res<Value> {
    match value {
        Value::Str(text) => {
            let times = usize::try_from(times.max(0)).unwrap_or(usize::MAX);
            if text.len().saturating_mul(times) > MAX_TEXT {
                return Err(Fault::text_limit());
            }
            budget.text(text.len() * times)?;
            Ok(Value::str(text.repeat(if text.is_empty() {
                0
            } else {
                times
            })))
        }
        Value::List(seq) | Value::Tuple(seq) => {
            let len = repeated_len(seq.items.len(), times)?;
            let items = seq.items.iter().cycle().take(len).cloned().collect();
            match value {
                Value::List(_) => Value::list(items, budget),
                _ => Value::tuple(items, budget),
            }
        }
        _ => fail!("'{}' cannot be repeated", value.kind()),
    }
}

fn integers(op: Binary, a: i128, b: i128) -> Res<Value> {
    let zero = b == 0 && matches!(op, Binary::Div | Binary::FloorDiv | Binary::Mod);
    if zero {
        return fail!("division by zero");
    }
    let value = match op {
        Binary::Add => a.checked_add(b),
        Binary::Sub => a.checked_sub(b),
        Binary::Mul => a.checked_mul(b),
        Binary::Div => return Ok(Value::Float(a as f64 / b as f64)),
        Binary::FloorDiv => a.checked_div_euclid(b).map(|div| {
            let rem = a.rem_euclid(b);
            if b < 0 && rem != 0 { div - 1 } else { div }
        }),
        Binary::Mod => a
            .checked_rem_euclid(b)
            .map(|rem| if b < 0 && rem != 0 { rem + b } else { rem }),
        Binary::Pow if b < 0 => return floats(op, a as f64, b as f64),
        Binary::Pow => power(a, b),
    };
    value.map_or_else(too_large, |value| Ok(Value::Int(value)))
}

pub(crate) fn power(a: i128, b: i128) -> Option<i128> {
    match a {
        0 | 1 if b > 0 => Some(a),
        -1 => Some(if b % 2 == 0 { 1 } else { -1 }),
        _ => a.checked_pow(u32::try_from(b).ok()?),
    }
}

fn floats(op: Binary, a: f64, b: f64) -> Res<Value> {
    let zero = b == 0.0 && matches!(op, Binary::Div | Binary::FloorDiv | Binary::Mod);
    if zero || (op == Binary::Pow && a == 0.0 && b < 0.0) {
        return fail!("division by zero");
    }
    Ok(Value::Float(match op {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::FloorDiv => {
            let div = (a - modulo(a, b)) / b;
            let floor = div.floor();
            if div - floor > 0.5 {
                floor + 1.0
            } else {
                floor
            }
        }
        Binary::Mod => modulo(a, b),
        Binary::Pow => {
            let power = a.powf(b);
            if a < 0.0 && b.fract() != 0.0 {
                return fail!("{a} ** {b} is no real number");
            }
            if power.is_infinite() && a.is_finite() && b.is_finite() {
                return fail!("{a} ** {b} is too large");
            }
            power
        }
    }))
}

fn modulo(a: f64, b: f64) -> f64 {
    let rem = a % b;
    if rem == 0.0 {
        return 0.0f64.copysign(b);
    }
    if (rem < 0.0) == (b < 0.0) {
        rem
    } else {
        rem + b
    }
}
