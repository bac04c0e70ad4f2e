//! Safetensors files, of which one tensor at a time is in memory.

mod layout;
mod read;
mod write;

pub(crate) use read::{ReadError, TensorPlace, load_tensors, read_header, run_dtype};
#[cfg(feature = "adapters")]
pub(crate) use write::Stored;
pub(crate) use write::{stored_tensors, write_tensors};
