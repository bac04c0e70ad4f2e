//! One vector for a whole text.

use burn::tensor::{DType, Int, Tensor, s};
use peft_model::EVERY_SEQUENCE;

/// How the states of a text become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Pooling {
    /// The state of the first position.
    #[default]
    First,
    /// The mean over the text.
    Mean,
}

impl Pooling {
    /// As [`mean_pooled`].
    pub(super) fn apply(self, hidden: Tensor<3>, segments: Option<Tensor<2, Int>>) -> Tensor<2> {
        match self {
            Self::First => first(hidden),
            Self::Mean => mean_pooled(hidden, segments),
        }
    }
}

/// The state of the first position, `[batch, positions, d_model]` to `[batch, d_model]`.
pub(super) fn first(hidden: Tensor<3>) -> Tensor<2> {
    hidden.slice(s![.., 0..1, ..]).squeeze_dim(1)
}

/// The mean of the states of each row's text, its padding left out; in f32. A row of nothing but
/// padding gives zeros.
///
/// Positions of segment 0 count, and those of [`EVERY_SEQUENCE`], such as a soft prompt's; all
/// where there are no segments.
///
/// # Shapes
///
/// `hidden` is `[batch, positions, d_model]`, `segments` `[batch, cached + positions]`, of which
/// the last `positions` count; the result `[batch, d_model]`.
pub fn mean_pooled(hidden: Tensor<3>, segments: Option<Tensor<2, Int>>) -> Tensor<2> {
    let dtype = hidden.dtype();
    let hidden = hidden.cast(DType::F32);
    let Some(segments) = segments else {
        return hidden.mean_dim(1).squeeze_dim::<2>(1).cast(dtype);
    };
    let positions = hidden.dims()[1];
    let [_, all] = segments.dims();
    let own = segments.narrow(1, all - positions, positions);
    let text = own.clone().equal_elem(0);
    let counts = text.bool_or(own.equal_elem(EVERY_SEQUENCE)).float();
    let counts = counts.cast(DType::F32).unsqueeze_dim::<3>(2); // [batch, positions, 1]
    let total = counts.clone().sum_dim(1).clamp_min(1.0);
    ((hidden * counts).sum_dim(1) / total)
        .squeeze_dim::<2>(1)
        .cast(dtype)
}
