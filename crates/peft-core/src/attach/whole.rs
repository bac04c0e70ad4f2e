//! [`Whole`]: a parameter's own trained copy, beside the frozen original.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::{Adapter, FrozenWeight};

/// Replaces a parameter by a copy that trains: `W' = V`, with `V = W` at first.
///
/// Heads, norms and biases that are trained beside an adapter are these, so that the base stays as
/// it was: switching the adapter off restores it, and several adapters can each have their own.
#[derive(Module, Debug)]
pub struct Whole<const R: usize> {
    /// The copy, of the parameter's shape.
    pub value: Param<Tensor<R>>,
}

impl<const R: usize> Whole<R> {
    /// A trained copy that starts at `value`.
    pub fn new(value: Tensor<R>) -> Self {
        Self {
            value: Param::from_tensor(value.detach()),
        }
    }
}

impl<const R: usize> Adapter for Whole<R> {
    const NAME: &'static str = "whole";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        self.value.val().reshape(base.dims())
    }
}
