//! [`python_json`]: JSON as Python's `json` writes it.

use serde::de::DeserializeOwned;

/// What is read in place of a number that is not finite, which JSON cannot write and Python does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotFinite {
    /// Null: nothing is there. So tables mark what is missing.
    Null,
    /// The string `NaN`, `Infinity` or `-Infinity`, which who needs a number refuses by name, where
    /// null would be a default.
    Text,
}

/// Read JSON, or else what Python's `json` reads and writes beside it: `NaN`, `Infinity` and
/// `-Infinity`, numbers larger than any f64, which are infinite, and halves of surrogate pairs,
/// which are U+FFFD.
///
/// # Errors
///
/// That of `serde_json`. Its column is that of the text with each such number replaced.
pub fn python_json<T: DeserializeOwned>(
    text: &str,
    not_finite: NotFinite,
) -> serde_json::Result<T> {
    match serde_json::from_str(text) {
        Err(error) if error.is_syntax() => match mended(text, not_finite) {
            Some(mended) => serde_json::from_str(&mended),
            None => Err(error),
        },
        read => read,
    }
}

/// The text as JSON; none where nothing in it is Python's own. One pass, and at most three times as
/// long.
fn mended(text: &str, not_finite: NotFinite) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = String::new();
    let (mut at, mut copied, mut in_string) = (0, 0, false);
    while let Some(byte) = bytes.get(at) {
        let (length, instead) = match (in_string, byte) {
            (_, b'"') => {
                in_string = !in_string;
                (1, None)
            }
            (true, b'\\') => escape(&bytes[at..]),
            (true, _) => (1, None),
            (false, b'-' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z') => {
                let of_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
                let word = bytes[at..].iter().take_while(|byte| of_word(byte)).count();
                let instead = not_finite_word(&text[at..at + word]).map(|name| match not_finite {
                    NotFinite::Null => "null".to_owned(),
                    NotFinite::Text => format!("\"{name}\""),
                });
                (word, instead)
            }
            (false, _) => (1, None),
        };
        if let Some(instead) = instead {
            out.push_str(&text[copied..at]);
            out.push_str(&instead);
            copied = at + length;
        }
        at += length;
    }
    (copied > 0).then(|| {
        out.push_str(&text[copied..]);
        out
    })
}

/// The name of a number that is not finite.
fn not_finite_word(word: &str) -> Option<&'static str> {
    let (negative, size) = match word.strip_prefix('-') {
        Some(size) => (true, size),
        None => (false, word),
    };
    let too_large = || {
        size.starts_with(|first: char| first.is_ascii_digit())
            && size.parse::<f64>().is_ok_and(f64::is_infinite)
    };
    match (negative, size) {
        (false, "NaN") => Some("NaN"),
        (false, _) if size == "Infinity" || too_large() => Some("Infinity"),
        (true, _) if size == "Infinity" || too_large() => Some("-Infinity"),
        _ => None,
    }
}

/// How long an escape in a string is, and what takes its place where it is half of a pair.
fn escape(bytes: &[u8]) -> (usize, Option<String>) {
    let unit = |bytes: &[u8]| {
        let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
        let digits = std::str::from_utf8(digits).ok()?;
        u16::from_str_radix(digits, 16).ok()
    };
    let second = || bytes.get(6..).and_then(unit);
    match unit(bytes) {
        Some(0xd800..=0xdbff) if matches!(second(), Some(0xdc00..=0xdfff)) => (12, None),
        Some(0xd800..=0xdfff) => (6, Some("\\ufffd".to_owned())),
        Some(_) => (6, None),
        None => (bytes.len().min(2), None),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_python_writes_is_read() {
        let text = r#"{"a": NaN, "b": [Infinity, -Infinity,1e400,-1e999], "c": "NaN \" Infinity \\", "d": "\ud800 \uD83D\uDE00 \udc00\ud800", "é": 1, "é": 2}"#;
        let read = |not_finite| python_json::<Value>(text, not_finite).expect("it is read");
        let strings = json!("\u{fffd} \u{1f600} \u{fffd}\u{fffd}");
        assert_eq!(
            read(NotFinite::Null),
            json!({"a": null, "b": [null, null, null, null], "c": "NaN \" Infinity \\", "d": strings, "é": 2})
        );
        assert_eq!(
            read(NotFinite::Text),
            json!({"a": "NaN", "b": ["Infinity", "-Infinity", "Infinity", "-Infinity"], "c": "NaN \" Infinity \\", "d": strings, "é": 2})
        );
        let long = format!("[{}]", "9".repeat(400));
        let read: Value = python_json(&long, NotFinite::Null).expect("it is read");
        assert_eq!(read, json!([null]));
    }

    #[test]
    fn what_python_refuses_is_refused() {
        for text in [
            "[nan]",
            "[inf]",
            "[-NaN]",
            "[+Infinity]",
            "[NaNs]",
            "[NaN,]",
            "{'a': NaN}",
            "[1e400x]",
            "\"\\ud8",
            "\"\\",
            "[NaN, \"\\u12é\"]",
            "[NaN",
            "NaN NaN",
        ] {
            for not_finite in [NotFinite::Null, NotFinite::Text] {
                let read = python_json::<Value>(text, not_finite);
                assert!(read.is_err(), "{text}");
            }
        }
        let plain = python_json::<Value>("[1, x]", NotFinite::Null).expect_err("no JSON");
        assert_eq!(plain.column(), 5);
    }
}
