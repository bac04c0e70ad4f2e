//! Equality, order, membership and keys.

use std::cmp::Ordering;
use std::rc::Rc;
use std::sync::Arc;

use super::{Value, View, repr};
use crate::budget::Budget;
use crate::error::{Fault, Res, fail};

/// A value by which a mapping finds its items: equal values have equal keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Undefined,
    None,
    Int(i128),
    Float(u64),
    Str(Arc<str>),
    Tuple(Vec<Key>),
    Function(Arc<str>),
    Address(usize),
}

pub(crate) fn key_of(value: &Value, budget: &Budget) -> Res<Key> {
    budget.step()?;
    let address = |pointer: *const ()| Ok(Key::Address(pointer as usize));
    match value {
        Value::Undefined(_) => Ok(Key::Undefined),
        Value::None => Ok(Key::None),
        Value::Bool(value) => Ok(Key::Int(i128::from(*value))),
        Value::Int(value) => Ok(Key::Int(*value)),
        Value::Float(value) => Ok(match integral(*value) {
            Some(value) => Key::Int(value),
            None => Key::Float(value.to_bits()),
        }),
        Value::Str(text) => Ok(Key::Str(text.clone())),
        Value::Tuple(seq) => {
            let keys = seq.items.iter().map(|item| key_of(item, budget));
            Ok(Key::Tuple(keys.collect::<Res<_>>()?))
        }
        Value::Function(name) => Ok(Key::Function(name.clone())),
        Value::Iter(value) => address(Rc::as_ptr(value).cast()),
        Value::Namespace(value) => address(Rc::as_ptr(value).cast()),
        Value::Loop(value) => address(Rc::as_ptr(value).cast()),
        Value::Cycler(value) => address(Rc::as_ptr(value).cast()),
        Value::Joiner(value) => address(Rc::as_ptr(value).cast()),
        Value::Macro(value) => address(Rc::as_ptr(value).cast()),
        Value::Method(value) => address(Rc::as_ptr(value).cast()),
        Value::Range(span) => {
            let start = if span.len > 0 { span.start } else { 0 };
            let step = if span.len > 1 { span.step } else { 0 };
            Ok(Key::Tuple(vec![
                Key::Address(0),
                Key::Int(span.len as i128),
                Key::Int(start),
                Key::Int(step),
            ]))
        }
        Value::List(_) | Value::Dict(_) | Value::View(..) => {
            fail!("unhashable type: '{}'", value.kind())
        }
    }
}

/// The integer that a float is.
fn integral(value: f64) -> Option<i128> {
    (value.fract() == 0.0 && value.abs() < 1e38).then_some(value as i128)
}

pub(crate) fn equal(a: &Value, b: &Value, budget: &Budget) -> Res<bool> {
    budget.step()?;
    let all = |a: &[Value], b: &[Value]| {
        if a.len() != b.len() {
            return Ok(false);
        }
        for (a, b) in a.iter().zip(b) {
            if !equal(a, b, budget)? {
                return Ok(false);
            }
        }
        Ok(true)
    };
    Ok(match (a, b) {
        (Value::Undefined(_), Value::Undefined(_)) | (Value::None, Value::None) => true,
        (Value::Str(a), Value::Str(b)) => a == b,
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
            Rc::ptr_eq(a, b) || all(&a.items, &b.items)?
        }
        (Value::Dict(a), Value::Dict(b)) => {
            if Rc::ptr_eq(a, b) {
                return Ok(true);
            }
            if a.entries.len() != b.entries.len() {
                return Ok(false);
            }
            for (key, value) in &a.entries {
                match b.get(&key_of(key, budget)?) {
                    Some(other) if equal(value, other, budget)? => {}
                    _ => return Ok(false),
                }
            }
            true
        }
        (Value::Range(a), Value::Range(b)) => {
            a.len == b.len && (a.len == 0 || a.start == b.start) && (a.len <= 1 || a.step == b.step)
        }
        (Value::View(a, x), Value::View(b, y)) => {
            a == b && *a != View::Values && {
                let (x, y) = (Value::Dict(x.clone()), Value::Dict(y.clone()));
                equal(&x, &y, budget)?
            }
        }
        _ => match order_of_numbers(a, b) {
            Some(order) => order == Some(Ordering::Equal),
            None => match (key_of(a, budget), key_of(b, budget)) {
                (Ok(Key::Address(a)), Ok(Key::Address(b))) => a == b,
                (Ok(Key::Function(a)), Ok(Key::Function(b))) => a == b,
                _ => false,
            },
        },
    })
}

/// The order of two numbers, where both are some; none within where one is no number of the two.
fn order_of_numbers(a: &Value, b: &Value) -> Option<Option<Ordering>> {
    use super::Number::{Float, Int};
    Some(match (super::number(a)?, super::number(b)?) {
        (Int(a), Int(b)) => Some(a.cmp(&b)),
        (Float(a), Float(b)) => a.partial_cmp(&b),
        (Int(a), Float(b)) => int_and_float(a, b),
        (Float(a), Int(b)) => int_and_float(b, a).map(Ordering::reverse),
    })
}

fn int_and_float(a: i128, b: f64) -> Option<Ordering> {
    match integral(b) {
        Some(b) => Some(a.cmp(&b)),
        None => (a as f64).partial_cmp(&b),
    }
}

/// The order of two values; none where neither is less and they differ, as with "not a number".
pub(crate) fn compare(a: &Value, b: &Value, budget: &Budget) -> Res<Option<Ordering>> {
    budget.step()?;
    match (a, b) {
        (Value::Undefined(why), _) | (_, Value::Undefined(why)) => {
            Err(Fault::Failed(why.message()))
        }
        (Value::Str(a), Value::Str(b)) => Ok(Some(a.cmp(b))),
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
            for (a, b) in a.items.iter().zip(&b.items) {
                if !equal(a, b, budget)? {
                    return compare(a, b, budget);
                }
            }
            Ok(Some(a.items.len().cmp(&b.items.len())))
        }
        _ => match order_of_numbers(a, b) {
            Some(order) => Ok(order),
            None => fail!("'{}' and '{}' have no order", a.kind(), b.kind()),
        },
    }
}

/// Python's `in`.
pub(crate) fn contains(container: &Value, item: &Value, budget: &Budget) -> Res<bool> {
    let any = |items: &[Value]| {
        for other in items {
            if equal(item, other, budget)? {
                return Ok(true);
            }
        }
        Ok(false)
    };
    match container {
        Value::Undefined(_) => Ok(false),
        Value::Str(text) => match item {
            Value::Str(part) => {
                budget.text(text.len())?;
                Ok(text.contains(&**part))
            }
            _ => fail!(
                "'in <string>' requires string as left operand, not {}",
                item.kind()
            ),
        },
        Value::List(seq) | Value::Tuple(seq) => any(&seq.items),
        Value::Dict(dict) | Value::View(View::Keys, dict) => {
            Ok(dict.get(&key_of(item, budget)?).is_some())
        }
        Value::View(View::Values, dict) => {
            for (_, value) in &dict.entries {
                if equal(item, value, budget)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Value::View(View::Items, dict) => match item {
            Value::Tuple(pair) if pair.items.len() == 2 => {
                match dict.get(&key_of(&pair.items[0], budget)?) {
                    Some(value) => equal(value, &pair.items[1], budget),
                    None => Ok(false),
                }
            }
            _ => Ok(false),
        },
        Value::Range(span) => {
            for i in 0..span.len {
                if equal(&span.at(i), item, budget)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Value::Iter(iter) => {
            while let Some(other) = iter.next()? {
                if equal(item, &other, budget)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        _ => fail!(
            "argument of type '{}' is not iterable: {}",
            container.kind(),
            { repr(item, budget)? }
        ),
    }
}
