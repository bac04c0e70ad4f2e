//! Python's three ways to put values into text: `%`, `str.format` and format specifications.

mod braces;
mod percent;
mod spec;

pub(crate) use braces::{Part, format};
pub(crate) use percent::percent;
pub(crate) use spec::{fixed, formatted};

/// Text with what is not ASCII as escapes, as Python's `ascii` of a `repr`.
fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c as u32 {
            ..=0x7f => out.push(c),
            code @ ..=0xff => out.push_str(&format!("\\x{code:02x}")),
            code @ ..=0xffff => out.push_str(&format!("\\u{code:04x}")),
            code => out.push_str(&format!("\\U{code:08x}")),
        }
    }
    out
}
