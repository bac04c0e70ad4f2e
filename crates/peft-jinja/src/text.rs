//! Characters and strings as Python sees them.

use crate::error::{Res, fail};

/// The zeros of Unicode's runs of decimal digits.
const ZEROS: [u32; 66] = [
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66,
    0xde6, 0xe50, 0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90,
    0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
    0x104a0, 0x10d30, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650,
    0x116c0, 0x11730, 0x118e0, 0x11950, 0x11c50, 0x11d50, 0x11da0, 0x16a60, 0x16ac0, 0x16b50,
    0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e950, 0x1fbf0,
];

/// Python's `str.isspace` for one character.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

pub(crate) fn decimal(c: char) -> Option<u32> {
    let code = c as u32;
    let at = ZEROS.partition_point(|&zero| zero <= code);
    let digit = code - ZEROS.get(at.checked_sub(1)?)?;
    (digit < 10).then_some(digit)
}

/// Python's `str.isprintable` for one character.
pub(crate) fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return matches!(c, ' '..='~');
    }
    // Behind a letter only what is not printable is escaped, and not what combines with it.
    let mut text = String::from("a");
    text.push(c);
    !text.escape_debug().any(|c| c == '\\')
}

pub(crate) fn chars(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        text.chars().count()
    }
}

/// The byte at which a character begins.
pub(crate) fn byte_of(text: &str, at: usize) -> usize {
    if text.is_ascii() {
        return at.min(text.len());
    }
    text.char_indices().nth(at).map_or(text.len(), |(i, _)| i)
}

/// Python's `str.splitlines`.
pub(crate) fn lines(text: &str, keep: bool) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let breaks = |c: char| {
            matches!(
                c,
                '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'
                    ..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}'
            )
        };
        let Some(at) = rest.find(breaks) else {
            lines.push(rest);
            break;
        };
        let len = if rest[at..].starts_with("\r\n") {
            2
        } else {
            rest[at..].chars().next().map_or(1, char::len_utf8)
        };
        lines.push(&rest[..if keep { at + len } else { at }]);
        rest = &rest[at + len..];
    }
    lines
}

/// Python's `str.capitalize`.
pub(crate) fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => title_char(first) + &chars.as_str().to_lowercase(),
        None => String::new(),
    }
}

/// A character at the beginning of a word: of several capitals that one becomes, the first.
pub(crate) fn title_char(c: char) -> String {
    let mut out = String::new();
    for upper in c.to_uppercase() {
        if out.is_empty() {
            out.push(upper);
        } else {
            out.extend(upper.to_lowercase());
        }
    }
    out
}

/// Python's `str.title`.
pub(crate) fn title(text: &str) -> String {
    title_by(text, title_char, is_cased)
}

/// The text with `first` of each character that begins a word, and the others in lower case; behind
/// a character that is `inside` a word the word goes on.
pub(crate) fn title_by(
    text: &str,
    first: impl Fn(char) -> String,
    inside: impl Fn(char) -> bool,
) -> String {
    let mut out = String::with_capacity(text.len());
    let mut goes_on = false;
    for c in text.chars() {
        match goes_on {
            true => out.extend(c.to_lowercase()),
            false => out.push_str(&first(c)),
        }
        goes_on = inside(c);
    }
    out
}

pub(crate) fn is_cased(c: char) -> bool {
    c.is_lowercase() || c.is_uppercase()
}

/// Python's `float` of a text.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    let plain = plain_digits(text)?;
    let unsigned = plain.trim_start_matches(['+', '-']).to_ascii_lowercase();
    let named = matches!(&*unsigned, "inf" | "infinity" | "nan");
    let digits = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    (named || digits).then(|| plain.parse().ok())?
}

/// Python's `int` of a text; `Err` where it is too large.
pub(crate) fn parse_int(text: &str, base: u32) -> Res<Option<i128>> {
    let Some(plain) = plain_digits(text) else {
        return Ok(None);
    };
    let (negative, digits) = match plain.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let lower = digits.to_ascii_lowercase();
    let prefixed = [("0b", 2), ("0o", 8), ("0x", 16)]
        .into_iter()
        .find(|(prefix, radix)| lower.starts_with(prefix) && (base == 0 || base == *radix));
    let (digits, base) = match prefixed {
        Some((prefix, radix)) => (&lower[prefix.len()..], radix),
        None if base == 0 && lower.len() > 1 && lower.starts_with('0') => {
            return Ok(lower.chars().all(|c| c == '0').then_some(0));
        }
        None => (&*lower, if base == 0 { 10 } else { base }),
    };
    if digits.is_empty() || !(2..=36).contains(&base) || !digits.chars().all(|c| c.is_digit(base)) {
        return Ok(None);
    }
    match i128::from_str_radix(digits, base) {
        Ok(value) => Ok(Some(if negative { -value } else { value })),
        Err(_) => fail!("a number beyond 127 bits"),
    }
}

/// A number's text with ASCII digits and without single underscores between digits.
fn plain_digits(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut last = '_';
    for c in text.trim_matches(is_space).chars() {
        if c == '_' && !last.is_ascii_alphanumeric() {
            return None;
        }
        let c = decimal(c)
            .and_then(|digit| char::from_digit(digit, 10))
            .unwrap_or(c);
        if last == '_' && !out.is_empty() && !c.is_ascii_alphanumeric() {
            return None;
        }
        if c != '_' {
            out.push(c);
        }
        last = c;
    }
    (last != '_').then_some(out)
}

/// A string literal's text, as Python's `unicode-escape` reads it.
pub(crate) fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let Some(c) = chars.next() else { break };
        let mut code = |len: usize| {
            let rest = chars.as_str();
            let digits = rest
                .get(..len)
                .and_then(|hex| u32::from_str_radix(hex, 16).ok());
            chars = rest.get(len..).unwrap_or_default().chars();
            let read = digits.and_then(char::from_u32);
            read.ok_or_else(|| format!("\\{c} needs {len} hexadecimal digits of a character"))
        };
        match c {
            '\n' => {}
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            'a' => out.push('\x07'),
            'b' => out.push('\x08'),
            'f' => out.push('\x0c'),
            'v' => out.push('\x0b'),
            '\\' | '\'' | '"' => out.push(c),
            'x' => out.push(code(2)?),
            'u' => out.push(code(4)?),
            'U' => out.push(code(8)?),
            'N' => return Err("characters by name (\\N) are not known here".into()),
            '0'..='7' => {
                let rest = chars.as_str();
                let more = rest
                    .bytes()
                    .take(2)
                    .take_while(|b| (b'0'..=b'7').contains(b));
                let len = more.count();
                let octal = format!("{c}{}", &rest[..len]);
                let code = u32::from_str_radix(&octal, 8).unwrap_or(0);
                out.extend(char::from_u32(code));
                chars = rest[len..].chars();
            }
            // Python has written the character as an escape by then.
            c if !c.is_ascii() => match c as u32 {
                code @ ..=0xff => out.push_str(&format!("\\x{code:02x}")),
                code @ ..=0xffff => out.push_str(&format!("\\u{code:04x}")),
                code => out.push_str(&format!("\\U{code:08x}")),
            },
            c => out.extend(['\\', c]),
        }
    }
    Ok(out)
}
