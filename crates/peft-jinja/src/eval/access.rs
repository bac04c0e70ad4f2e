//! Attributes, items and slices, as the sandbox lets templates read them.

use std::rc::Rc;
use std::sync::Arc;

use super::Interp;
use crate::error::{Fault, Res, fail};
use crate::methods::{forbidden, methods_of};
use crate::value::{Undef, Value, index_of, key_of, repr};

impl Interp<'_> {
    /// `value.name`: the attribute of Python's value, else its item.
    pub(crate) fn attribute(&mut self, value: &Value, name: &Arc<str>) -> Res<Value> {
        if let Value::Undefined(why) = value {
            return Err(Fault::Failed(why.message()));
        }
        if let Some(found) = self.own_attribute(value, name)? {
            return Ok(found);
        }
        if let Value::Dict(dict) = value
            && let Some(item) = dict.get_str(name)
        {
            return Ok(item.clone());
        }
        let why = Undef::Attribute(value.kind(), name.clone());
        Ok(Value::Undefined(Rc::new(why)))
    }

    /// `value[key]`: the item, else the attribute of that name.
    pub(crate) fn item(&mut self, value: &Value, key: &Value) -> Res<Value> {
        if let Value::Undefined(why) = value {
            return Err(Fault::Failed(why.message()));
        }
        let at = |len: usize| {
            let at = match key {
                Value::Int(_) | Value::Bool(_) => index_of(key).ok()?,
                _ => return None,
            };
            let at = if at < 0 { at + len as i128 } else { at };
            usize::try_from(at).ok().filter(|&at| at < len)
        };
        let found = match value {
            Value::Dict(dict) => match key_of(key, &self.budget) {
                Ok(key) => dict.get(&key).cloned(),
                Err(Fault::Failed(_)) => None,
                Err(fault) => return Err(fault),
            },
            Value::List(seq) | Value::Tuple(seq) => {
                at(seq.items.len()).map(|at| seq.items[at].clone())
            }
            Value::Str(text) => {
                self.budget.text(text.len())?;
                at(crate::text::chars(text)).map(|at| {
                    let start = crate::text::byte_of(text, at);
                    Value::str(text[start..].chars().take(1).collect::<String>())
                })
            }
            Value::Range(span) => at(span.len).map(|at| span.at(at)),
            _ => None,
        };
        if let Some(found) = found {
            return Ok(found);
        }
        if let Value::Str(name) = key {
            if let Some(found) = self.own_attribute(value, name)? {
                return Ok(found);
            }
            let why = Undef::Attribute(value.kind(), name.clone());
            return Ok(Value::Undefined(Rc::new(why)));
        }
        let why = Undef::Element(value.kind(), repr(key, &self.budget)?);
        Ok(Value::Undefined(Rc::new(why)))
    }

    fn own_attribute(&mut self, value: &Value, name: &Arc<str>) -> Res<Option<Value>> {
        if let Value::Namespace(space) = value {
            return Ok(space.get(name));
        }
        let special = name.starts_with("__") && name.ends_with("__") && name.len() > 4;
        if special || forbidden(value, name) {
            let why = Undef::Unsafe(value.kind(), name.clone());
            return Ok(Some(Value::Undefined(Rc::new(why))));
        }
        if let Some(method) = methods_of(value).iter().find(|method| ***method == **name) {
            return Ok(Some(Value::Method(Rc::new((value.clone(), *method)))));
        }
        Ok(match (value, &**name) {
            (Value::Loop(state), name) => return self.loop_attribute(state, name),
            (Value::Int(_) | Value::Bool(_), "real" | "numerator") => {
                Some(Value::Int(index_of(value)?))
            }
            (Value::Int(_) | Value::Bool(_), "imag") => Some(Value::Int(0)),
            (Value::Int(_) | Value::Bool(_), "denominator") => Some(Value::Int(1)),
            (Value::Float(_), "real") => Some(value.clone()),
            (Value::Float(_), "imag") => Some(Value::Float(0.0)),
            (Value::Range(span), "start") => Some(Value::Int(span.start)),
            (Value::Range(span), "stop") => Some(Value::Int(span.stop)),
            (Value::Range(span), "step") => Some(Value::Int(span.step)),
            (Value::Tuple(pair), "grouper") if pair.group => pair.items.first().cloned(),
            (Value::Tuple(pair), "list") if pair.group => pair.items.get(1).cloned(),
            (Value::Cycler(cycler), "current") => cycler.items.get(cycler.at.get()).cloned(),
            (Value::Cycler(cycler), "pos") => Some(cycler.at.get().into()),
            (Value::Cycler(cycler), "items") => {
                Some(Value::tuple(cycler.items.clone(), &self.budget)?)
            }
            (Value::Joiner(joiner), "sep") => Some(joiner.separator.clone()),
            (Value::Joiner(joiner), "used") => Some(joiner.used.get().into()),
            (Value::Macro(value), "name") => Some(Value::Str(value.def.name.clone())),
            (Value::Macro(value), "arguments") => {
                let names = value.def.args.iter().cloned().map(Value::Str).collect();
                Some(Value::tuple(names, &self.budget)?)
            }
            (Value::Macro(value), "catch_kwargs") => Some(value.def.uses.kwargs.into()),
            (Value::Macro(value), "catch_varargs") => Some(value.def.uses.varargs.into()),
            (Value::Macro(value), "caller") => Some(value.def.uses.caller.into()),
            _ => None,
        })
    }

    /// `value[start:stop:step]`.
    pub(super) fn slice(&mut self, value: &Value, parts: [Value; 3]) -> Res<Value> {
        if let Value::Undefined(why) = value {
            return Err(Fault::Failed(why.message()));
        }
        let number = |part: &Value| match part {
            Value::None => Ok(None),
            Value::Int(_) | Value::Bool(_) => index_of(part).map(Some),
            _ => fail!("slice indices are integers, not {}", part.kind()),
        };
        let [start, stop, step] = [number(&parts[0])?, number(&parts[1])?, number(&parts[2])?];
        let step = step.unwrap_or(1);
        if step == 0 {
            return fail!("slice step cannot be zero");
        }
        let len = match value {
            Value::Str(_) | Value::List(_) | Value::Tuple(_) | Value::Range(_) => {
                value.len().unwrap_or(0)
            }
            other => return fail!("'{}' object cannot be sliced", other.kind()),
        };
        let places = places(start, stop, step, len as i128);
        self.budget.items(places.len())?;
        match value {
            Value::Str(text) => {
                self.budget.text(text.len())?;
                if let ([first, .., last], 1) | ([first @ last], 1) = (&places[..], step) {
                    let start = crate::text::byte_of(text, *first);
                    let end = start + crate::text::byte_of(&text[start..], last + 1 - first);
                    return Ok(Value::str(&text[start..end]));
                }
                let chars: Vec<char> = text.chars().collect();
                let picked: String = places.into_iter().map(|at| chars[at]).collect();
                Ok(Value::str(picked))
            }
            Value::List(seq) => {
                let items = places.into_iter().map(|at| seq.items[at].clone());
                Value::list(items.collect(), &self.budget)
            }
            Value::Tuple(seq) => {
                let items = places.into_iter().map(|at| seq.items[at].clone());
                Value::tuple(items.collect(), &self.budget)
            }
            Value::Range(span) => {
                let step = span.step.saturating_mul(step);
                let first = places
                    .first()
                    .map_or(span.stop, |&at| span.start + span.step * at as i128);
                Ok(Value::Range(Rc::new(crate::value::Span {
                    start: first,
                    stop: first.saturating_add(step.saturating_mul(places.len() as i128)),
                    step,
                    len: places.len(),
                })))
            }
            other => fail!("'{}' object cannot be sliced", other.kind()),
        }
    }
}

/// The places that a slice takes.
fn places(start: Option<i128>, stop: Option<i128>, step: i128, len: i128) -> Vec<usize> {
    let (low, high) = if step > 0 { (0, len) } else { (-1, len - 1) };
    let bound = |part: Option<i128>, default: i128| match part {
        None => default,
        Some(at) if at < 0 => at.saturating_add(len).clamp(low, high),
        Some(at) => at.clamp(low, high),
    };
    let (first, end) = if step > 0 { (low, high) } else { (high, low) };
    let (mut at, stop) = (bound(start, first), bound(stop, end));
    let mut places = Vec::new();
    while if step > 0 { at < stop } else { at > stop } {
        places.extend(usize::try_from(at));
        at = at.saturating_add(step);
    }
    places
}
