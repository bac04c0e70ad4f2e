//! [`softmax`].

use burn::tensor::{Tensor, activation};

/// `e^xᵢ / Σ e^xⱼ` over the last axis.
pub fn softmax<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if crate::fuses(&x) {
        return crate::flex::softmax(x);
    }
    let plain = x.clone().without_autodiff();
    let y = activation::softmax(plain.clone(), D - 1);
    if !x.is_tracked() {
        return y;
    }
    // The value, and one linear map of a zero with the Jacobian, which maps `z` to
    // `y ∘ (z − Σ y ∘ z)`.
    let scaled = (x - plain) * y.clone();
    scaled.clone() - scaled.sum_dim(D - 1) * y.clone() + y
}
