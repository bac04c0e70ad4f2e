//! [`say!`]: a line on standard error. Nothing that is only shown ends what it is shown of.

use std::cell::RefCell;
use std::fmt;
use std::io::{Write, stderr};

/// Bytes of a text that are shown.
const MAX_SHOWN: usize = 16 << 10;

/// Write a line on standard error, as `eprintln!` does, but without a panic where nobody reads it
/// or the device is full.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::say::line(format_args!($($text)*))
    };
}

pub(crate) use say;

/// What [`say!`] does with its text.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    let text = clean(&text.to_string());
    let text = NAME.with_borrow(|name| match name.as_str() {
        "" => text,
        name => {
            let lines = text.lines().map(|line| format!("[{name}] {line}"));
            lines.collect::<Vec<_>>().join("\n")
        }
    });
    // In one piece, so that lines of several threads do not mix; and whoever has stopped reading is
    // not asked.
    let _ = stderr().write_all(format!("{text}\n").as_bytes());
}

thread_local! {
    /// What the lines of this thread begin with.
    static NAME: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Do `work`, whose lines on this thread begin with a name.
pub(crate) fn named<T>(name: &str, work: impl FnOnce() -> T) -> T {
    NAME.set(name.into());
    let done = work();
    NAME.take();
    done
}

/// Whether the lines of this thread have a name: others write at the same time.
pub(crate) fn is_named() -> bool {
    NAME.with_borrow(|name| !name.is_empty())
}

/// A text of others as it may be shown: what moves a cursor, colours a terminal or turns the
/// direction of writing is escaped, and what is longer than [`MAX_SHOWN`] is cut.
pub(crate) fn clean(text: &str) -> String {
    let mut shown = String::new();
    for char in text.chars() {
        if shown.len() >= MAX_SHOWN {
            shown.push_str(" ... (cut)");
            break;
        }
        match char {
            '\n' | '\t' => shown.push(char),
            char if char.is_control() || turns(char) => shown.extend(char.escape_unicode()),
            char => shown.push(char),
        }
    }
    shown
}

/// Marks, embeddings, overrides and isolates of direction, and separators that end a line.
fn turns(char: char) -> bool {
    matches!(
        char,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_escaped_and_what_is_long_is_cut() {
        assert_eq!(clean("a\tb\nc é 漢"), "a\tb\nc é 漢");
        assert_eq!(
            clean("\u{1b}[2J\r\u{9b}\u{202e}x\u{2069}\u{7f}"),
            "\\u{1b}[2J\\u{d}\\u{9b}\\u{202e}x\\u{2069}\\u{7f}"
        );
        let cut = clean(&"é".repeat(MAX_SHOWN));
        assert!(
            cut.len() < MAX_SHOWN + 20 && cut.ends_with("é ... (cut)"),
            "{}",
            cut.len()
        );
    }
}
