//! [`MlpEncoder`]: `W₃ relu(W₂ relu(W₁ x + b₁) + b₂) + b₃`.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Tensor, activation::relu};

use crate::fresh;

/// Three linear layers with ReLU between them, on each vector by itself.
#[derive(Module, Debug)]
pub struct MlpEncoder {
    /// `[d_model, hidden]`.
    pub first: Linear,
    /// `[hidden, hidden]`.
    pub second: Linear,
    /// `[hidden, d_model]`.
    pub third: Linear,
}

impl MlpEncoder {
    /// A fresh encoder, drawn as PyTorch draws linear layers.
    pub fn new(d_model: usize, hidden: usize, device: &burn::tensor::Device) -> Self {
        Self {
            first: fresh::linear(d_model, hidden, device),
            second: fresh::linear(hidden, hidden, device),
            third: fresh::linear(hidden, d_model, device),
        }
    }

    /// # Shapes
    ///
    /// `inputs` and the result are `[n_virtual_tokens, d_model]`.
    pub fn forward(&self, inputs: Tensor<2>) -> Tensor<2> {
        let x = relu(self.first.forward(inputs));
        let x = relu(self.second.forward(x));
        self.third.forward(x)
    }
}
