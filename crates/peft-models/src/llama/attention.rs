//! [`LlamaAttention`]: grouped-query attention with rotary positions.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{DType, Tensor};
use peft_core::linear;

use crate::KvCache;
use crate::closed_form::softmax;
use crate::mask::AttentionBias;
use crate::rope::Rotation;

/// Causal self-attention in which groups of query heads share a key and a value head.
#[derive(Module, Debug)]
pub struct LlamaAttention {
    /// Queries, `[d_model, n_heads · head_dim]`.
    pub q_proj: Linear,
    /// Keys, `[d_model, n_kv_heads · head_dim]`.
    pub k_proj: Linear,
    /// Values, as the keys.
    pub v_proj: Linear,
    /// Output, `[n_heads · head_dim, d_model]`.
    pub o_proj: Linear,
    pub(super) n_heads: usize,
    pub(super) n_kv_heads: usize,
    pub(super) head_dim: usize,
}

impl LlamaAttention {
    /// `x` and the result are `[batch, positions, d_model]`.
    pub(super) fn forward(
        &self,
        x: Tensor<3>,
        rotation: &Rotation,
        bias: &AttentionBias,
        cache: Option<(&mut KvCache, usize)>,
    ) -> Tensor<3> {
        let [batch, positions, _] = x.dims();
        let heads = |x: Tensor<3>, n: usize| {
            x.reshape([batch, positions, n, self.head_dim])
                .swap_dims(1, 2) // [batch, heads, positions, head_dim]
        };
        let scale = 1.0 / (self.head_dim as f64).sqrt();
        let q = rotation
            .apply(heads(linear(&self.q_proj, x.clone()), self.n_heads))
            .mul_scalar(scale);
        let k = rotation.apply(heads(linear(&self.k_proj, x.clone()), self.n_kv_heads));
        let v = heads(linear(&self.v_proj, x), self.n_kv_heads);
        let (k, v) = match cache {
            Some((cache, layer)) => cache.append(layer, k, v),
            None => (k, v),
        };
        // The query heads of a group become rows, so that keys and values need no copies.
        let groups = self.n_heads / self.n_kv_heads;
        let q = q.reshape([batch, self.n_kv_heads, groups * positions, self.head_dim]);
        let dtype = q.dtype();
        let scores = q.matmul(k.swap_dims(2, 3)).cast(DType::F32); // [batch, kv, groups · positions, keys]
        let weights = softmax(bias.add_to(scores, groups)).cast(dtype);
        let mixed = weights
            .matmul(v)
            .reshape([batch, self.n_heads, positions, self.head_dim])
            .swap_dims(1, 2)
            .reshape([batch, positions, self.n_heads * self.head_dim]);
        linear(&self.o_proj, mixed)
    }
}
