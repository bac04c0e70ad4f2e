//! [`RmsNorm`]: `y = w ∘ x / √(mean(x²) + ε)`. *Root Mean Square Layer Normalization*, Zhang and Sennrich 2019,
//! [arXiv:1910.07467](https://arxiv.org/abs/1910.07467).

use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear};
use burn::tensor::{DType, Device, Tensor};
use peft_core::{features, linear, scaled_linear};
use peft_kernels::rms_norm;
use peft_model::Attention;

/// Rows that a norm has normalised, and their scale where that is left to the layers that read them: where it trains, and nothing below does.
#[derive(Clone)]
pub(crate) struct Normed {
    rows: Tensor<3>,
    scale: Option<Tensor<1>>,
}

impl Normed {
    /// A layer of these rows.
    pub(crate) fn through(&self, layer: &Linear) -> Tensor<3> {
        match &self.scale {
            Some(scale) => scaled_linear(layer, self.rows.clone(), scale.clone()),
            None => linear(layer, self.rows.clone()),
        }
    }

    /// The rows of the positions that are read.
    pub(crate) fn queries(&self, attention: &Attention<'_>) -> Self {
        Self {
            rows: attention.queries(self.rows.clone()),
            scale: self.scale.clone(),
        }
    }
}

/// Root-mean-square normalisation, computed in f32. Its field is named as in checkpoints; Burn's own calls it `gamma`.
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

    /// Gemma's: the scale is `1 + w`, applied before the result is rounded to the input's precision.
    pub fn from_one(d_model: usize, epsilon: f64, device: &Device) -> Self {
        Self {
            weight: Initializer::Zeros.init([d_model], device),
            epsilon,
            from_one: true,
        }
    }

    /// The normalised last axis, for layers that may take its scale into their weights.
    pub(crate) fn before_layers(&self, x: Tensor<3>) -> Normed {
        let stored = self.weight.base();
        let is_f32 = x.dtype() == DType::F32 && stored.dtype() == DType::F32;
        if x.is_tracked() || !stored.is_tracked() || !is_f32 {
            return Normed {
                rows: self.forward(x),
                scale: None,
            };
        }
        let scale = self.weight.val();
        let ones = Tensor::ones([1, 1, scale.dims()[0]], &x.device());
        Normed {
            rows: rms_norm(x, ones, self.epsilon),
            scale: Some(if self.from_one { scale + 1.0 } else { scale }),
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
