//! Filters of numbers.

use super::number_of;
use crate::args::{Args, int_or};
use crate::error::{Fault, Res, fail};
use crate::eval::Interp;
use crate::format::fixed;
use crate::text::{parse_float, parse_int};
use crate::value::{Number, Value, number, power, whole};

impl Interp<'_> {
    pub(super) fn number_filter(&self, name: &str, value: &Value, args: Args) -> Res<Value> {
        match name {
            "abs" => {
                args.none(name)?;
                Ok(match number_of(value, name)? {
                    Number::Int(n) => Value::Int(n.saturating_abs()),
                    Number::Float(n) => Value::Float(n.abs()),
                })
            }
            "round" => round(value, args),
            "int" => {
                let [default, base] = args.bind(name, ["default", "base"], 0)?;
                let base = u32::try_from(int_or(base.as_ref(), 10)?).unwrap_or(u32::MAX);
                if base != 0 && !(2..=36).contains(&base) {
                    return Ok(default.unwrap_or(Value::Int(0)));
                }
                Ok(self.int(value, base)?.or(default).unwrap_or(Value::Int(0)))
            }
            "float" => {
                let [default] = args.bind(name, ["default"], 0)?;
                let float = match value {
                    Value::Undefined(why) => return Err(Fault::Failed(why.message())),
                    Value::Str(text) => parse_float(text),
                    value => number(value).map(Number::float),
                };
                Ok(float
                    .map(Value::Float)
                    .or(default)
                    .unwrap_or(Value::Float(0.0)))
            }
            _ => file_size(value, args),
        }
    }

    fn int(&self, value: &Value, base: u32) -> Res<Option<Value>> {
        match value {
            Value::Undefined(why) => Err(Fault::Failed(why.message())),
            Value::Str(text) => {
                self.budget.text(text.len())?;
                if let Some(n) = parse_int(text, base)? {
                    return Ok(Some(Value::Int(n)));
                }
                match parse_float(text) {
                    Some(n) if n.is_finite() => whole(n).map(Some),
                    _ => Ok(None),
                }
            }
            value => match number(value) {
                Some(Number::Int(n)) => Ok(Some(Value::Int(n))),
                Some(Number::Float(n)) if n.is_nan() => Ok(None),
                Some(Number::Float(n)) => whole(n).map(Some),
                None => Ok(None),
            },
        }
    }
}

fn round(value: &Value, args: Args) -> Res<Value> {
    let [precision, method] = args.bind("round", ["precision", "method"], 0)?;
    let precision = int_or(precision.as_ref(), 0)?;
    let method = method.unwrap_or_else(|| Value::str("common"));
    let number = number_of(value, "round")?;
    let factor = match i32::try_from(precision) {
        Ok(places) if places.abs() <= 400 => 10f64.powi(places),
        _ => return fail!("round to {precision} places"),
    };
    match (method.as_str(), number) {
        (Some("common"), Number::Int(n)) if precision >= 0 => Ok(Value::Int(n)),
        (Some("common"), Number::Int(n)) => {
            let Some(unit) = power(10, -precision) else {
                return Ok(Value::Int(0));
            };
            let (down, rest) = (n.div_euclid(unit), n.rem_euclid(unit));
            let up = rest > unit - rest || (rest == unit - rest && down % 2 != 0);
            match (down + i128::from(up)).checked_mul(unit) {
                Some(n) => Ok(Value::Int(n)),
                None => fail!("a number beyond 127 bits"),
            }
        }
        (Some("common"), Number::Float(n)) if !n.is_finite() => Ok(Value::Float(n)),
        (Some("common"), Number::Float(n)) if precision >= 0 => {
            let text = fixed(n, precision.unsigned_abs() as usize);
            Ok(Value::Float(text.parse().unwrap_or(n)))
        }
        (Some("common"), Number::Float(n)) => {
            let unit = 10f64.powi(-(precision as i32));
            Ok(Value::Float((n / unit).round_ties_even() * unit))
        }
        (Some(method @ ("ceil" | "floor")), number) => {
            let scaled = number.float() * factor;
            let scaled = if method == "ceil" {
                scaled.ceil()
            } else {
                scaled.floor()
            };
            Ok(Value::Float(scaled / factor))
        }
        _ => fail!("method must be common, ceil or floor"),
    }
}

fn file_size(value: &Value, args: Args) -> Res<Value> {
    let [binary] = args.bind("filesizeformat", ["binary"], 0)?;
    let bytes = match value {
        Value::Str(text) => match parse_float(text) {
            Some(bytes) => bytes,
            None => return fail!("could not convert string to float: '{text}'"),
        },
        value => number_of(value, "filesizeformat")?.float(),
    };
    let (base, infix) = if crate::args::truth_or(binary.as_ref(), false) {
        (1024.0, "iB")
    } else {
        (1000.0, "B")
    };
    if bytes == 1.0 {
        return Ok(Value::str("1 Byte"));
    }
    if bytes < base {
        return Ok(Value::str(format!("{} Bytes", bytes.trunc())));
    }
    let letters = if infix == "B" { "kMGTPEZY" } else { "KMGTPEZY" };
    let mut unit = base;
    let mut shown = String::new();
    for letter in letters.chars() {
        unit *= base;
        shown = format!("{:.1} {letter}{infix}", base * bytes / unit);
        if bytes < unit {
            break;
        }
    }
    Ok(Value::str(shown))
}
