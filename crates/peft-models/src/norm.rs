//! [`RmsNorm`]: `y = w ∘ x / √(mean(x²) + ε)`. *Root Mean Square Layer Normalization*, Zhang and
//! Sennrich 2019, [arXiv:1910.07467](https://arxiv.org/abs/1910.07467).

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{DType, Device, Tensor};
use peft_core::features;
use peft_kernels::rms_norm;

/// Root-mean-square normalisation, computed in f32. Its field is named as in checkpoints; Burn's
/// own calls it `gamma`.
#[derive(Module, Debug)]
pub struct RmsNorm {
    /// The scale of each feature, `[d_model]`; in Gemma what it differs from one by.
    pub weight: Param<Tensor<1>>,
    epsilon: f64,
    from_one: bool,
}

impl RmsNorm {
    /// A norm over `d_model` features with scale one.
    pub fn new(d_model: usize, epsilon: f64, device: &Device) -> Self {
        Self {
            weight: Initializer::Ones.init([d_model], device),
            epsilon,
            from_one: false,
        }
    }

    /// Gemma's: the scale is `1 + w`, applied before the result is rounded to the input's
    /// precision.
    pub fn from_one(d_model: usize, epsilon: f64, device: &Device) -> Self {
        Self {
            weight: Initializer::Zeros.init([d_model], device),
            epsilon,
            from_one: true,
        }
    }

    /// Normalise the last axis.
    ///
    /// # Shapes
    ///
    /// `x` and the result are `[.., d_model]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let weight = features::<D>(&self.weight, x.dims()[0]);
        let scale = if self.from_one {
            weight.cast(DType::F32) + 1.0
        } else {
            weight.cast(x.dtype())
        };
        rms_norm(x, scale, self.epsilon)
    }
}
