//! Products of matrices.

use burn::tensor::{DType, Tensor};

#[cfg(feature = "flex")]
use crate::fuses;

/// The product over the last two axes.
///
/// Factors of two types are multiplied in f32 (f64 beside one in f64), as `lhs.cast(F32) ·
/// rhs.cast(F32)` is, and so are their gradients, each of which has its factor's type. A matrix
/// `rhs` in bf16 or f16 is a weight that is stored so: where the function runs as one pass it is
/// read as it is, for the product and for the gradient of `lhs`, and in bf16, on a processor that
/// multiplies bf16, `lhs` and that gradient's own factor are rounded to bf16 as they are read. A
/// [packed](crate::Packed) weight is read so too, tile by tile; it has no gradient of its own.
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
    #[cfg(feature = "flex")]
    if D == 2 && fuses(&lhs) && crate::flex::holds_stored(&rhs) {
        return crate::flex::matmul(lhs, rhs, false);
    }
    #[cfg(feature = "flex")]
    if D == 2 && crate::flex::packed_format(&rhs).is_some() {
        return with_packed(lhs, rhs);
    }
    let _ = woven; // a matter of memory, which other backends keep to themselves
    if lhs.dtype() == rhs.dtype() {
        return lhs.matmul(rhs);
    }
    let wide = match (lhs.dtype(), rhs.dtype()) {
        (DType::F64, _) | (_, DType::F64) => DType::F64,
        _ => DType::F32,
    };
    lhs.cast(wide).matmul(rhs.cast(wide))
}

/// `x W + b` as one product of all rows. By batches, as Burn's own does it, the weight would be
/// packed once for each of them, and its gradient formed once for each of them and summed
/// afterwards.
///
/// # Shapes
///
/// `x` is `[.., d_in]`, `weight` `[d_in, d_out]`, `bias` `[d_out]`, the result `[.., d_out]`. A
/// `weight` of another type than `x` is multiplied as by [`matmul`], and the `bias` is added in the
/// type of the product.
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
        Some(bias) if fuses(&x) && (fuses(&weight) || crate::flex::holds_stored(&weight)) => {
            crate::flex::linear(x, weight, bias.cast(DType::F32))
        }
        Some(bias) => {
            let y = matmul(x, weight);
            let dtype = y.dtype();
            y + bias.cast(dtype).unsqueeze()
        }
    };
    y.reshape(dims)
}

/// `x Wᵀ`: what a gradient of a layer's outputs is to one of its inputs, and what an output layer
/// gives that is tied to an embedding. A packed weight is read as it is.
///
/// # Shapes
///
/// `x` is `[.., d_out]`, `weight` `[d_in, d_out]`, the result `[.., d_in]`.
///
/// # Panics
///
/// As [`matmul`].
pub fn transposed_product<const D: usize>(x: Tensor<D>, weight: Tensor<2>) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if crate::flex::packed_format(&weight).is_some() {
        let mut dims = x.dims();
        let rows = dims[..D - 1].iter().product::<usize>();
        let x = x.reshape([rows, dims[D - 1]]);
        dims[D - 1] = weight.dims()[0];
        let y = match rows {
            0 => Tensor::zeros([0, dims[D - 1]], &x.device()),
            _ => crate::flex::transposed_product(x.cast(DType::F32), weight),
        };
        return y.reshape(dims);
    }
    linear(x, weight.transpose(), None)
}

/// `lhs rhs` with a packed weight, of rows of any type, or of none.
#[cfg(feature = "flex")]
fn with_packed<const D: usize>(lhs: Tensor<D>, rhs: Tensor<D>) -> Tensor<D> {
    let mut dims = lhs.dims();
    if lhs.shape().num_elements() == 0 {
        dims[D - 1] = rhs.dims()[D - 1];
        return Tensor::zeros(dims, &lhs.device());
    }
    crate::flex::matmul(lhs.cast(DType::F32), rhs, false)
}
