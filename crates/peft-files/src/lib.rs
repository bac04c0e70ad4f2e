#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod copy;
mod folder;
mod json;
mod lines;
mod new_dir;
mod read;
mod replace;
mod unfinished;

pub use copy::{Bounds, copy};
pub use folder::Folder;
pub use json::{NotFinite, python_json};
pub use lines::Lines;
pub use new_dir::{NewDir, NewDirError};
pub use read::{open, read, read_text};
pub use replace::{replace, replace_with, sync_dir};
pub use unfinished::abandon;
