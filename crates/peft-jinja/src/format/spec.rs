//! Format specifications: `[[fill]align][sign][#][0][width][grouping][.precision][type]`.

use crate::budget::Budget;
use crate::error::{Fault, Res, fail};
use crate::limits::MAX_TEXT;
use crate::value::{Number, Value, float_text, number, printed};

#[derive(Debug, Clone, Default)]
pub(super) struct Spec {
    pub(super) fill: Option<char>,
    pub(super) align: Option<char>,
    pub(super) sign: Option<char>,
    pub(super) alternate: bool,
    pub(super) zero: bool,
    pub(super) width: usize,
    pub(super) grouping: Option<char>,
    pub(super) precision: Option<usize>,
    pub(super) kind: Option<char>,
}

fn parse(text: &str) -> Res<Spec> {
    let mut spec = Spec::default();
    let mut chars = text.chars().peekable();
    let is_align = |c: char| matches!(c, '<' | '>' | '=' | '^');
    if text.chars().nth(1).is_some_and(is_align) {
        spec.fill = chars.next();
    }
    spec.align = chars.next_if(|&c| is_align(c));
    spec.sign = chars.next_if(|&c| matches!(c, '+' | '-' | ' '));
    spec.alternate = chars.next_if_eq(&'#').is_some();
    spec.zero = chars.next_if_eq(&'0').is_some();
    let count = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| {
        let mut count = None;
        while let Some(digit) = chars.next_if(char::is_ascii_digit) {
            let digit = digit as usize - '0' as usize;
            count = Some(
                count
                    .unwrap_or(0usize)
                    .saturating_mul(10)
                    .saturating_add(digit),
            );
        }
        match count {
            Some(count) if count > MAX_TEXT => Err(Fault::text_limit()),
            count => Ok(count),
        }
    };
    spec.width = count(&mut chars)?.unwrap_or(0);
    spec.grouping = chars.next_if(|&c| matches!(c, ',' | '_'));
    if chars.next_if_eq(&'.').is_some() {
        spec.precision = count(&mut chars)?;
        if spec.precision.is_none() {
            return fail!("format specifier '{text}' is missing its precision");
        }
    }
    spec.kind = chars.next();
    if chars.next().is_some() {
        return fail!("invalid format specifier '{text}'");
    }
    Ok(spec)
}

/// A value as a format specification has it.
pub(crate) fn formatted(value: &Value, text: &str, budget: &Budget) -> Res<String> {
    if text.is_empty() {
        return printed(value, budget);
    }
    let spec = parse(text)?;
    budget.text(spec.width)?;
    match (value, number(value)) {
        (Value::Str(text), _) => {
            if !matches!(spec.kind, None | Some('s')) || spec.sign.is_some() {
                return fail!("a string has no such format: '{spec:?}'");
            }
            let cut = spec
                .precision
                .map_or(text.len(), |n| crate::text::byte_of(text, n));
            let fill = spec.fill.unwrap_or(if spec.zero { '0' } else { ' ' });
            padded(&text[..cut], spec.width, spec.align.unwrap_or('<'), fill)
        }
        (_, Some(value)) => {
            if matches!(value, Number::Int(_))
                && spec.precision.is_some()
                && matches!(
                    spec.kind,
                    None | Some('d' | 'b' | 'o' | 'x' | 'X' | 'c' | 'n')
                )
            {
                return fail!("precision not allowed in integer format specifier");
            }
            numeric(value, &spec)
        }
        (_, None) => fail!("{} takes no format specification", value.kind()),
    }
}

/// A number by a specification.
pub(super) fn numeric(value: Number, spec: &Spec) -> Res<String> {
    let kind = spec.kind.or(match value {
        Number::Int(_) => Some('d'),
        Number::Float(_) => None,
    });
    let (negative, prefix, digits) = match (value, kind) {
        (Number::Int(code), Some('c')) => {
            let c = u32::try_from(code).ok().and_then(char::from_u32);
            let Some(c) = c else {
                return fail!("{code} is no character");
            };
            let align = spec.align.unwrap_or('<');
            return padded(&c.to_string(), spec.width, align, spec.fill.unwrap_or(' '));
        }
        (Number::Int(value), Some(kind @ ('d' | 'n' | 'b' | 'o' | 'x' | 'X'))) => {
            let size = value.unsigned_abs();
            let (prefix, digits) = match kind {
                'b' => ("0b", format!("{size:b}")),
                'o' => ("0o", format!("{size:o}")),
                'x' => ("0x", format!("{size:x}")),
                'X' => ("0X", format!("{size:X}")),
                _ => ("", size.to_string()),
            };
            (value < 0, if spec.alternate { prefix } else { "" }, digits)
        }
        (value, kind) => {
            let value = value.float();
            (
                value.is_sign_negative() && !value.is_nan(),
                "",
                float(value.abs(), kind, spec)?,
            )
        }
    };
    let sign = match (negative, spec.sign) {
        (true, _) => "-",
        (false, Some('+')) => "+",
        (false, Some(' ')) => " ",
        (false, _) => "",
    };
    let group = match kind {
        Some('b' | 'o' | 'x' | 'X') => 4,
        _ => 3,
    };
    let head = format!("{sign}{prefix}");
    let fill = spec.fill.unwrap_or(if spec.zero { '0' } else { ' ' });
    let align = spec.align.unwrap_or(if spec.zero { '=' } else { '>' });
    let digits = grouped(&digits, spec.grouping, group, 0);
    if align != '=' {
        return padded(&format!("{head}{digits}"), spec.width, align, fill);
    }
    let room = spec.width.saturating_sub(head.len());
    if fill == '0' && spec.grouping.is_some() {
        let plain: String = digits
            .chars()
            .filter(|c| Some(*c) != spec.grouping)
            .collect();
        return Ok(head + &grouped(&plain, spec.grouping, group, room));
    }
    Ok(head + &padded(&digits, room, '>', fill)?)
}

/// Digits with a sign between groups of those before the point, zeros in front up to a width.
fn grouped(digits: &str, sign: Option<char>, group: usize, width: usize) -> String {
    let Some(sign) = sign else {
        return digits.into();
    };
    let end = digits
        .find(|c: char| !c.is_ascii_hexdigit())
        .unwrap_or(digits.len());
    let (whole, rest) = digits.split_at(end);
    let mut reversed = String::new();
    let zeros = std::iter::repeat('0');
    for (taken, c) in whole.chars().rev().chain(zeros).enumerate() {
        if taken >= whole.len() && reversed.len() + rest.len() >= width {
            break;
        }
        if taken > 0 && taken % group == 0 {
            reversed.push(sign);
        }
        reversed.push(c);
    }
    reversed.chars().rev().collect::<String>() + rest
}

/// A float that is not negative.
pub(super) fn float(value: f64, kind: Option<char>, spec: &Spec) -> Res<String> {
    if !value.is_finite() {
        let text = if value.is_nan() { "nan" } else { "inf" };
        let upper = kind.is_some_and(|c| c.is_ascii_uppercase());
        let text = if upper {
            text.to_uppercase()
        } else {
            text.into()
        };
        return Ok(if kind == Some('%') { text + "%" } else { text });
    }
    let precision = spec.precision.unwrap_or(6);
    Ok(match kind {
        Some('f' | 'F') => fixed(value, precision) + if_alternate(spec, precision),
        Some('%') => fixed(value * 100.0, precision) + if_alternate(spec, precision) + "%",
        Some(kind @ ('e' | 'E')) => exponent(value, precision, kind),
        Some(kind @ ('g' | 'G' | 'n')) => general(value, precision.max(1), kind, spec.alternate),
        None => match spec.precision {
            None => float_text(value),
            Some(precision) => {
                let text = general(value, precision.max(1), 'g', false);
                let plain = text.contains(['.', 'e']);
                if plain { text } else { text + ".0" }
            }
        },
        Some(kind) => return fail!("a number has no format '{kind}'"),
    })
}

fn if_alternate(spec: &Spec, precision: usize) -> &'static str {
    if spec.alternate && precision == 0 {
        "."
    } else {
        ""
    }
}

/// Decimal places; those beyond what a float can have are zeros.
pub(crate) fn fixed(value: f64, precision: usize) -> String {
    let exact = precision.min(1_100);
    let mut text = format!("{value:.exact$}");
    text.extend(std::iter::repeat_n('0', precision - exact));
    text
}

fn exponent(value: f64, precision: usize, kind: char) -> String {
    let exact = precision.min(1_100);
    let text = format!("{value:.exact$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if exponent < 0 { '-' } else { '+' };
    let zeros = "0".repeat(precision - exact);
    format!("{digits}{zeros}{kind}{sign}{:02}", exponent.abs())
}

fn general(value: f64, precision: usize, kind: char, alternate: bool) -> String {
    let precision = precision.min(1_100);
    let text = format!("{value:.*e}", precision - 1);
    let power: i32 = text
        .split_once('e')
        .and_then(|(_, e)| e.parse().ok())
        .unwrap_or(0);
    let marker = if kind == 'G' { 'E' } else { 'e' };
    let text = if power < -4 || power >= precision as i32 {
        exponent(value, precision - 1, marker)
    } else {
        fixed(value, (precision as i32 - 1 - power).max(0) as usize)
    };
    if alternate {
        return text;
    }
    let (digits, rest) = match text.find(marker) {
        Some(at) => text.split_at(at),
        None => (&*text, ""),
    };
    let digits = if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        digits
    };
    format!("{digits}{rest}")
}

/// Text filled up to a width in characters.
pub(crate) fn padded(text: &str, width: usize, align: char, fill: char) -> Res<String> {
    if width > MAX_TEXT {
        return Err(Fault::text_limit());
    }
    let room = width.saturating_sub(crate::text::chars(text));
    let left = match align {
        '<' => 0,
        '^' => room / 2,
        _ => room,
    };
    let mut out = String::with_capacity(text.len() + room);
    out.extend(std::iter::repeat_n(fill, left));
    out.push_str(text);
    out.extend(std::iter::repeat_n(fill, room - left));
    Ok(out)
}
