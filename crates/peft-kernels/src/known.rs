//! [`with_gradient`].

use burn::tensor::Tensor;

/// Values computed outside of the graph, as functions of the rows of `x` with these gradients.
///
/// # Shapes
///
/// `value` is `[rows]`, `x` and `gradient` `[rows, n]`, the result `[rows]`.
pub fn with_gradient(value: Tensor<1>, x: Tensor<2>, gradient: Tensor<2>) -> Tensor<1> {
    let value = value.without_autodiff();
    let gradient = gradient.without_autodiff();
    #[cfg(feature = "flex")]
    if crate::fuses(&x) && crate::fuses(&value) && crate::fuses(&gradient) {
        return crate::flex::with_gradient(value, x, gradient);
    }
    let rows = value.dims()[0];
    let zero = x.clone() - x.without_autodiff(); // with gradient one
    value + (gradient * zero).sum_dim(1).reshape([rows])
}
