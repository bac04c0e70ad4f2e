//! `text % values`.

use super::ascii;
use super::spec::{Spec, float, numeric, padded};
use crate::budget::Budget;
use crate::error::{Fault, Res, fail};
use crate::limits::MAX_TEXT;
use crate::value::{Number, Value, number, printed, repr};

struct Values<'a> {
    items: &'a [Value],
    at: usize,
}

impl<'a> Values<'a> {
    fn next(&mut self) -> Res<&'a Value> {
        self.at += 1;
        match self.items.get(self.at - 1) {
            Some(value) => Ok(value),
            None => fail!("not enough arguments for format string"),
        }
    }

    /// A width or precision, which `*` takes from the values.
    fn count(&mut self, chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Res<i128> {
        if chars.next_if_eq(&'*').is_some() {
            return crate::value::index_of(self.next()?);
        }
        let mut count = 0i128;
        while let Some(digit) = chars.next_if(char::is_ascii_digit) {
            let digit = i128::from(digit as u8 - b'0');
            count = count.saturating_mul(10).saturating_add(digit);
        }
        Ok(count)
    }
}

fn bounded(count: i128) -> Res<usize> {
    match usize::try_from(count.max(0)) {
        Ok(count) if count <= MAX_TEXT => Ok(count),
        _ => Err(Fault::text_limit()),
    }
}

pub(crate) fn percent(format: &str, given: &Value, budget: &Budget) -> Res<String> {
    let one = [given.clone()];
    let mut values = Values {
        items: match given {
            Value::Tuple(seq) => &seq.items,
            _ => &one,
        },
        at: 0,
    };
    budget.text(format.len())?;
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut named = None;
        if chars.next_if_eq(&'(').is_some() {
            let name = name(&mut chars)?;
            let Value::Dict(dict) = given else {
                return fail!("format requires a mapping");
            };
            match dict.get_str(&name) {
                Some(value) => named = Some(value),
                None => return fail!("the mapping has no key '{name}'"),
            }
            values.at = 1;
        }
        let mut spec = Spec::default();
        while let Some(flag) = chars.next_if(|c| matches!(c, '-' | '+' | ' ' | '#' | '0')) {
            match flag {
                '-' => spec.align = Some('<'),
                '0' => spec.zero = true,
                '#' => spec.alternate = true,
                ' ' if spec.sign == Some('+') => {}
                sign => spec.sign = Some(sign),
            }
        }
        let width = values.count(&mut chars)?;
        if width < 0 {
            spec.align = Some('<');
        }
        spec.width = bounded(width.saturating_abs())?;
        if chars.next_if_eq(&'.').is_some() {
            spec.precision = Some(bounded(values.count(&mut chars)?)?);
        }
        while chars.next_if(|c| matches!(c, 'h' | 'l' | 'L')).is_some() {}
        let Some(kind) = chars.next() else {
            return fail!("incomplete format");
        };
        if kind == '%' {
            out.push('%');
            continue;
        }
        let value = match named {
            Some(value) => value,
            None => values.next()?,
        };
        budget.text(spec.width + spec.precision.unwrap_or(0))?;
        out.push_str(&converted(value, kind, spec, budget)?);
        budget.text(out.len() / 64)?;
    }
    let unused = values.at < values.items.len();
    if unused
        && !matches!(
            given,
            Value::Dict(_) | Value::List(_) | Value::Range(_) | Value::Undefined(_)
        )
    {
        return fail!("not all arguments converted during string formatting");
    }
    budget.text(out.len())?;
    Ok(out)
}

/// A key in brackets.
fn name(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Res<String> {
    let mut name = String::new();
    let mut open = 1;
    for c in chars.by_ref() {
        match c {
            '(' => open += 1,
            ')' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Ok(name);
        }
        name.push(c);
    }
    fail!("incomplete format key")
}

fn converted(value: &Value, kind: char, mut spec: Spec, budget: &Budget) -> Res<String> {
    let align = spec.align.unwrap_or('>');
    let text = match kind {
        's' => printed(value, budget)?,
        'r' => repr(value, budget)?,
        'a' => ascii(&repr(value, budget)?),
        'c' => match value {
            Value::Str(text) if text.chars().count() == 1 => text.to_string(),
            Value::Int(code) => match u32::try_from(*code).ok().and_then(char::from_u32) {
                Some(c) => c.to_string(),
                None => return fail!("%c takes a character"),
            },
            _ => return fail!("%c takes a character"),
        },
        'd' | 'i' | 'u' | 'o' | 'x' | 'X' | 'e' | 'E' | 'f' | 'F' | 'g' | 'G' => {
            let Some(mut number) = number(value) else {
                return fail!("%{kind} takes a number, not {}", value.kind());
            };
            let integer = matches!(kind, 'd' | 'i' | 'u' | 'o' | 'x' | 'X');
            if let (Number::Float(value), 'd' | 'i' | 'u') = (number, kind) {
                let Value::Int(whole) = crate::value::whole(value)? else {
                    return fail!("{value} is no integer");
                };
                number = Number::Int(whole);
            }
            if integer && matches!(number, Number::Float(_)) {
                return fail!("%{kind} takes an integer");
            }
            spec.kind = Some(if matches!(kind, 'i' | 'u') { 'd' } else { kind });
            if integer && let Some(precision) = spec.precision.take() {
                let Number::Int(n) = number else {
                    return fail!("%{kind} takes an integer");
                };
                // The precision of an integer is its least number of digits.
                let plain = Spec {
                    kind: spec.kind,
                    ..Spec::default()
                };
                let size = Number::Int(n.saturating_abs());
                let digits = padded(&numeric(size, &plain)?, precision, '>', '0')?;
                let sign = if n < 0 { "-" } else { "" };
                return padded(&format!("{sign}{digits}"), spec.width, align, ' ');
            }
            if !integer && !number.float().is_finite() {
                spec.zero = false;
                let sign = if number.float() < 0.0 { "-" } else { "" };
                let text = float(number.float().abs(), spec.kind, &spec)?;
                return padded(&format!("{sign}{text}"), spec.width, align, ' ');
            }
            if spec.align == Some('<') {
                spec.zero = false;
            }
            return numeric(number, &spec);
        }
        kind => return fail!("unsupported format character '{kind}'"),
    };
    let cut = match (kind, spec.precision) {
        ('s' | 'r' | 'a', Some(n)) => crate::text::byte_of(&text, n),
        _ => text.len(),
    };
    padded(&text[..cut], spec.width, align, ' ')
}
