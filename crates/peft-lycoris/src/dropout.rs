//! [`OutputDropout`]: what LyCORIS drops in training, of what an adapter adds.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::Tensor;

/// Dropout on what an adapter adds: single outputs of the layer, for all rows at once, and the
/// whole of it.
#[derive(Module, Debug)]
pub struct OutputDropout {
    outputs: Dropout,
    all: Dropout,
    /// Whether outputs that are kept grow by as much as is dropped.
    scaled: bool,
}

impl OutputDropout {
    /// Of these probabilities.
    ///
    /// # Panics
    ///
    /// If one is not in `[0, 1)`.
    pub fn new(outputs: f64, all: f64, scaled: bool) -> Self {
        Self {
            outputs: DropoutConfig::new(outputs).init(),
            all: DropoutConfig::new(all).init(),
            scaled,
        }
    }

    /// Whether it drops anything where a model trains.
    pub(crate) fn drops(&self) -> bool {
        peft_core::drops(&self.outputs) || peft_core::drops(&self.all)
    }

    /// What is left of `[rows, d_out]`.
    pub(crate) fn forward(&self, delta: Tensor<2>) -> Tensor<2> {
        let device = delta.device();
        if !self.drops() || !device.is_autodiff() {
            return delta;
        }
        let [_, d_out] = delta.dims();
        let mask = |dropout: &Dropout, n: usize, scaled: bool| {
            let kept = dropout.forward(Tensor::ones([1, n], (&device, delta.dtype())));
            match scaled || !dropout.training.is_enabled() {
                true => kept,
                false => kept.mul_scalar(1.0 - dropout.prob),
            }
        };
        let mask = mask(&self.outputs, d_out, self.scaled) * mask(&self.all, 1, false);
        delta * mask
    }
}
