//! safetensors files, read and written a tensor at a time.
//!
//! The format is that of the `safetensors` crate, whose header and dtypes these are. That crate reads from a file that is in memory whole, and writes under a name of its own, which stays behind where
//! a program is killed; here a header is read and checked, tensors are read from the open file when they are asked for, and what is written is beside its place until it is whole.
//!
//! # What this crate does not do
//!
//! It knows no names of tensors, and converts nothing: bytes are those of the file, in order and little-endian.
#![deny(missing_docs)]

mod read;
mod write;

pub use read::{Hold, Opened, ReadError, TensorPlace, open, open_with};
pub use safetensors::tensor::Dtype;
pub use write::{Writes, write};
