//! [`RmsNorm`]: `y = w ∘ x / √(mean(x²) + ε)`. *Root Mean Square Layer Normalization*, Zhang and Sennrich 2019,
//! [arXiv:1910.07467](https://arxiv.org/abs/1910.07467).

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{DType, Device, Tensor};

/// Root-mean-square normalisation, computed in f32. Its field is named as in checkpoints; Burn's own calls it `gamma`.
#[derive(Module, Debug)]
pub struct RmsNorm {
    /// The scale of each feature, `[d_model]`.
    pub weight: Param<Tensor<1>>,
    epsilon: f64,
}

impl RmsNorm {
    /// A norm over `d_model` features with weight one.
    pub fn new(d_model: usize, epsilon: f64, device: &Device) -> Self {
        Self {
            weight: Initializer::Ones.init([d_model], device),
            epsilon,
        }
    }

    /// # Shapes
    ///
    /// `x` and the result are `[batch, positions, d_model]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let dtype = x.dtype();
        let x = x.cast(DType::F32);
        let rms = (x.clone().square().mean_dim(2) + self.epsilon).sqrt();
        (x / rms).cast(dtype) * self.weight.val().cast(dtype).unsqueeze()
    }
}
