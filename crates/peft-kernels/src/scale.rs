//! What clipping by a norm needs. No gradient flows through it.

use burn::tensor::{DType, Tensor};

/// `Σ x²`, in f32.
///
/// # Shapes
///
/// `[1]`, of `x` of any shape.
pub fn sum_of_squares<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    #[cfg(feature = "flex")]
    if crate::fuses(&x) && !x.is_autodiff() {
        return crate::flex::sum_of_squares(x);
    }
    x.cast(DType::F32).square().sum()
}

/// `factor · x`.
pub fn scale<const D: usize>(x: Tensor<D>, factor: f64) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if crate::fuses(&x) && !x.is_autodiff() {
        return crate::flex::scale(x, factor);
    }
    x.mul_scalar(factor)
}
