//! GGUF files, read and written a tensor at a time, and their blocks of quantised values.
//!
//! The format is that of [ggml](https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): typed
//! metadata, the tensors' names, shapes, types and places, and their bytes. Versions 2 and 3 are
//! read, 3 is written, little-endian. The metadata is read whole, within bounds that the file's own
//! size gives; tensors are read from the open file when they are asked for. What is written is
//! beside its place until it is whole.
//!
//! A row of a tensor is a run of blocks ([`Block`]), each of as many values in as many bytes, which
//! is unpacked to f32 by itself: a product with a quantised matrix unpacks what it is at.
//!
//! # What this crate does not do
//!
//! It knows no keys of metadata but `general.alignment`, no names of tensors and no models, and
//! multiplies nothing. Files of the other byte order, and split ones, are not read.
#![deny(missing_docs)]

mod blocks;
mod header;
mod metadata;
mod read;
mod tensor_type;
mod value;
mod write;

pub use blocks::{BF16, Block, F16, F32, Pack, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0};
pub use metadata::Metadata;
pub use read::{Opened, ReadError, TensorPlace, open};
pub use tensor_type::{PackError, TensorType};
pub use value::{Array, Value};
pub use write::{Writes, write};

/// What tensors' places are multiples of, where the metadata does not say.
const ALIGNMENT: u64 = 32;
/// The key that says it.
const ALIGNMENT_KEY: &str = "general.alignment";
/// As many axes as a tensor may have.
const MAX_AXES: usize = 4;
/// How a file begins.
const MAGIC: [u8; 4] = *b"GGUF";
