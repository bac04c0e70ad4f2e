//! Normalisations over the last axis.

use burn::tensor::{DType, Tensor};

/// `w ∘ x / √(mean(x²) + ε)`, normalised in f32. *Root Mean Square Layer Normalization*, Zhang and
/// Sennrich 2019, [arXiv:1910.07467](https://arxiv.org/abs/1910.07467).
///
/// # Shapes
///
/// `x` and the result are `[.., d_model]`; `weight` is one scale for all rows, `[1, .., d_model]`,
/// or one for each of the first axis. A scale of f32 is applied before the result is rounded to the
/// precision of `x`, one of that precision after.
pub fn rms_norm<const D: usize>(x: Tensor<D>, weight: Tensor<D>, epsilon: f64) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if let Some(weight) = vector(&x, &weight) {
        return crate::flex::rms_norm(x, weight, epsilon);
    }
    let (dtype, of_weight) = (x.dtype(), weight.dtype());
    let x = x.cast(DType::F32);
    let rms = (x.clone().square().mean_dim(D - 1) + epsilon).sqrt();
    ((x / rms).cast(of_weight) * weight).cast(dtype)
}

/// `w ∘ (x − μ) / √(σ² + ε) + b`, computed in f32. *Layer Normalization*, Ba, Kiros and Hinton
/// 2016, [arXiv:1607.06450](https://arxiv.org/abs/1607.06450).
///
/// # Shapes
///
/// As [`rms_norm`]; `weight` and `bias` are f32.
pub fn layer_norm<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<D>,
    bias: Option<Tensor<D>>,
    epsilon: f64,
) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if let Some(scale) = vector(&x, &weight) {
        let shift = match &bias {
            Some(bias) => vector(&x, bias),
            None => Some(Tensor::zeros(scale.shape(), (&scale.device(), DType::F32))),
        };
        if let Some(shift) = shift {
            return crate::flex::layer_norm(x, scale, shift, epsilon);
        }
    }
    let dtype = x.dtype();
    let x = x.cast(DType::F32);
    let centred = x.clone() - x.mean_dim(D - 1);
    let deviation = (centred.clone().square().mean_dim(D - 1) + epsilon).sqrt();
    let scaled = centred / deviation * weight;
    match bias {
        Some(bias) => scaled + bias,
        None => scaled,
    }
    .cast(dtype)
}

/// What is one vector for all rows, where it fuses with them.
#[cfg(feature = "flex")]
fn vector<const D: usize>(x: &Tensor<D>, of_rows: &Tensor<D>) -> Option<Tensor<1>> {
    let width = x.dims()[D - 1];
    let is_one = of_rows.shape().num_elements() == width && of_rows.dims()[D - 1] == width;
    let fuses = is_one && crate::fuses(x) && crate::fuses(of_rows);
    fuses.then(|| of_rows.clone().reshape([width]))
}
