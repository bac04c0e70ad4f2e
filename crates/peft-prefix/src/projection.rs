//! [`PrefixProjection`]: `W₂ tanh(W₁ e + b₁) + b₂`.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{DType, Device, Distribution, Tensor};

use crate::PrefixShape;

/// Two layers that make all keys and values of a position from one vector: fewer vectors to train
/// at first, and smoother ones.
#[derive(Module, Debug)]
pub struct PrefixProjection {
    /// `[d_embedding, hidden]`.
    pub down: Linear,
    /// `[hidden, n_layers · 2 · width]`.
    pub up: Linear,
}

impl PrefixProjection {
    /// Fresh layers in f32 on embeddings as wide as a layer's keys, weights and biases
    /// `U(±1 / √d_in)` as torch has them; with `zero` the second layer is zero.
    pub(crate) fn fresh(shape: &PrefixShape, hidden: usize, zero: bool, device: &Device) -> Self {
        let up = [hidden, shape.flat_width()];
        Self {
            down: linear([shape.width(), hidden], false, device),
            up: linear(up, zero, device),
        }
    }

    /// `[n_virtual_tokens, d_embedding]` to `[n_virtual_tokens, n_layers · 2 · width]`.
    pub(crate) fn forward(&self, embedding: Tensor<2>) -> Tensor<2> {
        self.up.forward(self.down.forward(embedding).tanh())
    }
}

fn linear([d_in, d_out]: [usize; 2], zero: bool, device: &Device) -> Linear {
    let bound = match zero {
        true => 0.0,
        false => 1.0 / (d_in as f64).sqrt(),
    };
    let uniform = || Distribution::Uniform(-bound, bound);
    let options = || (device, DType::F32);
    Linear {
        weight: Param::from_tensor(match zero {
            true => Tensor::zeros([d_in, d_out], options()),
            false => Tensor::random([d_in, d_out], uniform(), options()),
        }),
        bias: Some(Param::from_tensor(match zero {
            true => Tensor::zeros([d_out], options()),
            false => Tensor::random([d_out], uniform(), options()),
        })),
    }
}
