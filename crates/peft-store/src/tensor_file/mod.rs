//! Tensors of safetensors files as a model's parameters, in their layout there, and back: one at a
//! time.

mod layout;
mod load;
mod own;
mod pack;
mod place;
mod read;
mod write;

#[cfg(feature = "models")]
pub(crate) use layout::transpose;
pub(crate) use load::load_tensors;
pub(crate) use own::stored_tensors;
pub(crate) use own::tensors_at;
#[cfg(feature = "models")]
pub(crate) use place::Place;
pub(crate) use place::Source;
#[cfg(feature = "models")]
pub(crate) use read::read;
pub(crate) use read::{problems, read_f32, run_dtype};
pub(crate) use write::StoredTensor;
pub(crate) use write::write_tensors;
