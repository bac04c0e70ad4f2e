//! Which keys a query may see.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};

/// Added to the score of a key that may not be seen. Finite, so that a row of nothing else is not NaN.
const HIDDEN: f32 = -1e30;

/// What is added to the attention scores, made once a forward for all layers and heads.
pub(crate) struct AttentionBias {
    /// `[1 or batch, 1, 1, positions, keys]`; none where every query sees every key.
    bias: Option<Tensor<5>>,
}

impl AttentionBias {
    /// A query sees the keys up to its own position that are of its own segment, `[batch, cached + positions]`.
    pub(crate) fn causal(
        positions: usize,
        cached: usize,
        segments: Option<Tensor<2, Int>>,
        device: &Device,
    ) -> Self {
        let keys = cached + positions;
        if positions == 1 && segments.is_none() {
            return Self { bias: None };
        }
        let values: Vec<f32> = (0..positions)
            .flat_map(|query| {
                (0..keys).map(move |key| if key > cached + query { HIDDEN } else { 0.0 })
            })
            .collect();
        let causal = Tensor::<5>::from_data(
            TensorData::new(values, [1, 1, 1, positions, keys]),
            (device, DType::F32),
        );
        let bias = match segments {
            None => causal,
            Some(segments) => {
                let [batch, keys] = segments.dims();
                let queries = segments.clone().narrow(1, cached, positions);
                let other = queries
                    .reshape([batch, positions, 1])
                    .not_equal(segments.reshape([batch, 1, keys]));
                let hidden = other.float().cast(DType::F32).mul_scalar(HIDDEN);
                causal + hidden.reshape([batch, 1, 1, positions, keys])
            }
        };
        Self { bias: Some(bias) }
    }

    /// # Shapes
    ///
    /// `scores` is `[batch, kv_heads, groups · positions, keys]`.
    pub(crate) fn add_to(&self, scores: Tensor<4>, groups: usize) -> Tensor<4> {
        let Some(bias) = &self.bias else {
            return scores;
        };
        let [batch, heads, rows, keys] = scores.dims();
        let grouped = scores.reshape([batch, heads, groups, rows / groups, keys]);
        (grouped + bias.clone()).reshape([batch, heads, rows, keys])
    }
}
