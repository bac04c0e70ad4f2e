//! Columns of a matrix, each with a factor, and which tensors are one.

use burn::tensor::Tensor;

/// `x ∘ f`: each column times its factor.
///
/// # Shapes
///
/// `x` and the result are `[rows, columns]`, `factors` `[columns]`, of one type.
///
/// # Panics
///
/// As Burn's product by element.
pub fn scale_columns(x: Tensor<2>, factors: Tensor<1>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if crate::fuses(&x) && crate::fuses(&factors) && x.dims()[1] == factors.dims()[0] {
        return crate::flex::scale_columns(x, factors);
    }
    x * factors.unsqueeze()
}

/// Whether two tensors are known to be one: the same memory, read in the same way. It is known on
/// `flex`, with the feature of that name, and nowhere else.
///
/// As long as a handle to a tensor is held, nothing else has its memory and nothing writes to it:
/// so what was made of a tensor and is kept with a handle to it holds for every tensor that is the
/// same.
pub fn is_same_tensor<const D: usize>(a: &Tensor<D>, b: &Tensor<D>) -> bool {
    #[cfg(feature = "flex")]
    return crate::flex::is_same_tensor(a, b);
    #[cfg(not(feature = "flex"))]
    {
        let _ = (a, b);
        false
    }
}
