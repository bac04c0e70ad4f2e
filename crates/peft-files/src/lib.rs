#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod copy;
mod floats;
mod folder;
mod guard;
mod json;
mod lines;
mod new_dir;
mod read;
mod replace;
mod unfinished;

pub use copy::{Bounds, copy};
pub use floats::{FloatType, bf16_to_f32, f16_to_f32, f32_to_bf16, f32_to_f16};
pub use folder::Folder;
pub use guard::guarded;
pub use json::{NotFinite, python_json};
pub use lines::Lines;
pub use new_dir::{NewDir, NewDirError};
pub use read::{open, read, read_text};
pub use replace::{replace, replace_with, sync_dir};
pub use unfinished::abandon;
