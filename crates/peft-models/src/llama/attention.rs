//! [`LlamaAttention`]: grouped-query attention with rotary positions.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use peft_core::linear;

use crate::KvCache;
use crate::attention::{attend, merge_heads, split_heads};
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
        let scale = 1.0 / (self.head_dim as f64).sqrt();
        let q = rotation
            .apply(split_heads(linear(&self.q_proj, x.clone()), self.n_heads))
            .mul_scalar(scale);
        let k = rotation.apply(split_heads(
            linear(&self.k_proj, x.clone()),
            self.n_kv_heads,
        ));
        let v = split_heads(linear(&self.v_proj, x), self.n_kv_heads);
        let (k, v) = match cache {
            Some((cache, layer)) => cache.append(layer, k, v),
            None => (k, v),
        };
        let mixed = attend(q, k, v, bias, self.n_heads / self.n_kv_heads, None);
        linear(&self.o_proj, merge_heads(mixed))
    }
}
