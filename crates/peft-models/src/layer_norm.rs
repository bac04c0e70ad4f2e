//! [`LayerNorm`]: `y = w ∘ (x − μ) / √(σ² + ε) + b`. *Layer Normalization*, Ba, Kiros and Hinton
//! 2016, [arXiv:1607.06450](https://arxiv.org/abs/1607.06450).

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{DType, Device, Tensor};
use peft_core::features;
use peft_kernels::layer_norm;

/// Normalisation to mean zero and variance one, computed in f32. Its fields are named as in
/// checkpoints; Burn's own calls them `gamma` and `beta`.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// The scale of each feature, `[d_model]`.
    pub weight: Param<Tensor<1>>,
    /// The shift of each feature, `[d_model]`.
    pub bias: Option<Param<Tensor<1>>>,
    epsilon: f64,
}

impl LayerNorm {
    /// A norm over `d_model` features with weight one and, where there is one, bias zero.
    pub fn new(d_model: usize, epsilon: f64, bias: bool, device: &Device) -> Self {
        Self {
            weight: Initializer::Ones.init([d_model], device),
            bias: bias.then(|| Initializer::Zeros.init([d_model], device)),
            epsilon,
        }
    }

    /// Normalise the last axis.
    ///
    /// # Shapes
    ///
    /// `x` and the result are `[.., d_model]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let rows = x.dims()[0];
        let of_rows = |param| features::<D>(param, rows).cast(DType::F32);
        let bias = self.bias.as_ref().map(of_rows);
        layer_norm(x, of_rows(&self.weight), bias, self.epsilon)
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::LayerNormConfig;
    use burn::tensor::{TensorData, Tolerance};

    use super::*;

    #[test]
    fn it_is_burns_with_and_without_a_bias() {
        let device = Device::flex();
        let of = |shape: [usize; 3], seed: f32| -> Tensor<3> {
            let values: Vec<f32> = (0..shape.iter().product())
                .map(|i: usize| (seed + i as f32 * 1.7).sin() + 0.3)
                .collect();
            Tensor::from_data(TensorData::new(values, shape), &device)
        };
        let row = |seed| Param::from_tensor(of([1, 1, 7], seed).reshape([7]));
        for bias in [true, false] {
            let mut burns = LayerNormConfig::new(7)
                .with_epsilon(0.03)
                .with_bias(bias)
                .init(&device);
            let mut ours = LayerNorm::new(7, 0.03, bias, &device);
            burns.gamma = row(2.0);
            ours.weight = row(2.0);
            if bias {
                burns.beta = Some(row(5.0));
                ours.bias = Some(row(5.0));
            }
            let x = of([2, 3, 7], 1.0);
            let (found, expected) = (ours.forward(x.clone()), burns.forward(x));
            found
                .into_data()
                .assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-5));
        }
    }
}
