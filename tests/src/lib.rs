//! Support for this workspace's own suite: what `peft-conformance` gives to anyone, files of
//! tensors, and what is read of files by format.

pub mod kinds;
pub mod measured;
mod tensors;
mod unwatched;
mod words;

pub use peft_conformance::{
    Invariant, adapter_suite, backend, cases, computes_in, device, devices, read, tolerance,
    verified,
};
pub use tensors::{Tensors, is_copied_bias, read_tensors};
pub use unwatched::Unwatched;
pub use words::words;
