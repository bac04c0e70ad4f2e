//! Products of matrices.

use burn::tensor::Tensor;

#[cfg(feature = "flex")]
use crate::fuses;

/// The product over the last two axes.
///
/// # Shapes
///
/// `lhs` is `[.., rows, inner]`, `rhs` `[.., inner, columns]`, the result `[.., rows, columns]`.
///
/// # Panics
///
/// Where `inner` differs, and as Burn's where other axes do.
pub fn matmul<const D: usize>(lhs: Tensor<D>, rhs: Tensor<D>) -> Tensor<D> {
    product(lhs, rhs, false)
}

/// As [`matmul`], for a result whose heads are to be merged.
///
/// Where the function runs as one pass, the rows of all heads at a position lie next to each other
/// in memory: what merges heads copies nothing.
///
/// # Shapes
///
/// `lhs` is `[batch, heads, rows, inner]`, `rhs` `[batch, heads, inner, columns]`, the result
/// `[batch, heads, rows, columns]`.
///
/// # Panics
///
/// As [`matmul`].
pub fn matmul_to_merge(lhs: Tensor<4>, rhs: Tensor<4>) -> Tensor<4> {
    product(lhs, rhs, true)
}

fn product<const D: usize>(lhs: Tensor<D>, rhs: Tensor<D>, woven: bool) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if fuses(&lhs) && fuses(&rhs) && lhs.dims()[..D - 2] == rhs.dims()[..D - 2] {
        return crate::flex::matmul(lhs, rhs, woven);
    }
    let _ = woven; // a matter of memory, which other backends keep to themselves
    lhs.matmul(rhs)
}

/// `x W + b` as one product of all rows. By batches, as Burn's own does it, the weight would be
/// packed once for each of them, and its gradient formed once for each of them and summed
/// afterwards.
///
/// # Shapes
///
/// `x` is `[.., d_in]`, `weight` `[d_in, d_out]`, `bias` `[d_out]`, the result `[.., d_out]`.
///
/// # Panics
///
/// As [`matmul`].
pub fn linear<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
) -> Tensor<D> {
    let mut dims = x.dims();
    let rows = dims[..D - 1].iter().product::<usize>();
    let x = x.reshape([rows, dims[D - 1]]);
    dims[D - 1] = weight.dims()[1];
    let y = match bias {
        None => matmul(x, weight),
        #[cfg(feature = "flex")]
        Some(bias) if fuses(&x) && fuses(&weight) && fuses(&bias) => {
            crate::flex::linear(x, weight, bias)
        }
        Some(bias) => matmul(x, weight) + bias.unsqueeze(),
    };
    y.reshape(dims)
}
