#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod read;
mod write;

pub use read::{Contents, Hold, ReadError, TensorPlace, open, open_with};
pub use safetensors::tensor::Dtype;
pub use write::{Writes, write};
