#![doc = include_str!("../README.md")]
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
pub use read::{Contents, ReadError, TensorPlace, open};
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
