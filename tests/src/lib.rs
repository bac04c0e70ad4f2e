//! Support for this workspace's own suite: what `peft-conformance` gives to anyone, and files of tensors.

mod tensors;

pub use peft_conformance::{
    Invariant, adapter_suite, backend, cases, computes_in, device, read, tolerance, verified,
};
pub use tensors::{Tensors, read_tensors};
