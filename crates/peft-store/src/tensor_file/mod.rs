//! Tensors of safetensors files as a model's parameters, in their layout there, and back: one at a time.

mod layout;
mod own;
mod read;
mod write;

pub(crate) use own::stored_tensors;
pub(crate) use own::tensors_at;
pub(crate) use read::{load_tensors, run_dtype};
pub(crate) use read::{problems, read_f32};
pub(crate) use write::Stored;
pub(crate) use write::write_tensors;
