//! Rotary position embedding. *RoFormer*, Su et al. 2021,
//! [arXiv:2104.09864](https://arxiv.org/abs/2104.09864).

use burn::tensor::{DType, Tensor};

/// Each position's features turned by its angles: of the first `2 · half` features `(a, b)` by
/// halves, `(a cos − b sin, b cos + a sin)`; the others as they are. Computed in f32.
///
/// # Shapes
///
/// `x` and the result are `[batch, heads, positions, head_dim]`, `cos` and `sin`
/// `[1 or batch, 1, positions, half]` in f32; no gradient flows to them.
pub fn rotate(x: Tensor<4>, cos: &Tensor<4>, sin: &Tensor<4>) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if crate::fuses(&x) {
        return crate::flex::rotate(x, cos.clone(), sin.clone());
    }
    let (half, head_dim) = (cos.dims()[3], x.dims()[3]);
    let dtype = x.dtype();
    let x = x.cast(DType::F32);
    let (a, b) = (
        x.clone().narrow(3, 0, half),
        x.clone().narrow(3, half, half),
    );
    let first = a.clone() * cos.clone() - b.clone() * sin.clone();
    let second = b * cos.clone() + a * sin.clone();
    let mut parts = vec![first, second];
    if head_dim > 2 * half {
        parts.push(x.narrow(3, 2 * half, head_dim - 2 * half));
    }
    Tensor::cat(parts, 3).cast(dtype)
}
