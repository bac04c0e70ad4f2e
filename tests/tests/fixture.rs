//! The small model of `peft-conformance`, and ways to look inside any module.

use burn::module::Module;
use burn::nn::{BatchNorm, Linear};
use burn::tensor::Tensor;
use peft_core::linear;

pub(crate) use peft_conformance::{
    D_MODEL, Net, VOCABULARY, adapter_paths, assert_close, assert_differs, assert_same, filled,
    filled_adapters, ids, is_adapter, params, slot_state, steps, trained, values, with_gradient,
};

/// A model that is no transformer, with a norm that keeps running statistics.
#[derive(Module, Debug)]
pub(crate) struct Normed {
    pub(crate) up: Linear,
    pub(crate) bn: BatchNorm,
    pub(crate) down: Linear,
}

impl Normed {
    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        linear(&self.down, self.bn.forward(linear(&self.up, x)))
    }
}
