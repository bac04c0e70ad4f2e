//! Regular files read within bounds, and files and directories that appear whole or not at all.
//!
//! What is read comes from strangers: a pipe would be waited for without end, a device has no end.
//! What is written is made under a name of its own beside its place, is on disk before it is
//! renamed, and is taken away where that fails.
//!
//! # What this crate does not do
//!
//! It knows no names of files, and of formats only how Python's JSON differs from JSON.
#![deny(missing_docs)]

mod copy;
mod json;
mod lines;
mod new_dir;
mod read;
mod replace;
mod unfinished;

pub use copy::{Bounds, copy};
pub use json::{NotFinite, python_json};
pub use lines::Lines;
pub use new_dir::{NewDir, NewDirError};
pub use read::{open, read, read_text};
pub use replace::{replace, replace_with, sync_dir};
pub use unfinished::abandon;
