//! [`say!`]: a line on standard error. Nothing that is only shown ends what it is shown of.

use std::fmt;
use std::io::{Write, stderr};

/// Write a line on standard error, as `eprintln!` does, but without a panic where nobody reads it or the device is full.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::say::line(format_args!($($text)*))
    };
}

pub(crate) use say;

/// What [`say!`] does with its text.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    // In one piece, so that lines of several threads do not mix; and whoever has stopped reading is not asked.
    let _ = stderr().write_all(format!("{text}\n").as_bytes());
}
