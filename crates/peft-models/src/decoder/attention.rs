//! [`DecoderAttention`]: grouped-query attention with rotary positions.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use peft_core::linear;
use peft_model::{Attention, Scores};

use crate::RmsNorm;
use crate::transparent::transparent_module;

/// Causal self-attention in which groups of query heads share a key and a value head.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)]
pub enum DecoderAttention {
    /// Queries, keys and values by a matrix each.
    Split(SplitAttention),
    /// All three by one matrix.
    Fused(FusedAttention),
}

transparent_module!(DecoderAttention { Split, Fused });

/// Attention with a projection each for queries, keys and values.
#[derive(Module, Debug)]
pub struct SplitAttention {
    /// Queries, `[d_model, n_heads · head_dim]`.
    pub q_proj: Linear,
    /// Keys, `[d_model, n_kv_heads · head_dim]`.
    pub k_proj: Linear,
    /// Values, as the keys.
    pub v_proj: Linear,
    /// Output, `[n_heads · head_dim, d_model]`.
    pub o_proj: Linear,
    /// On each head's queries, `[head_dim]`.
    pub q_norm: Option<RmsNorm>,
    /// On each head's keys, `[head_dim]`.
    pub k_norm: Option<RmsNorm>,
    #[module(skip)]
    pub(super) shape: AttentionShape,
}

/// Attention with one projection for queries, keys and values.
#[derive(Module, Debug)]
pub struct FusedAttention {
    /// Queries, keys and values side by side, `[d_model, (n_heads + 2 n_kv_heads) · head_dim]`.
    pub qkv_proj: Linear,
    /// Output, `[n_heads · head_dim, d_model]`.
    pub o_proj: Linear,
    #[module(skip)]
    pub(super) shape: AttentionShape,
}

/// What attention knows beside its weights.
#[derive(Debug, Clone, Copy)]
pub(super) struct AttentionShape {
    pub(super) n_heads: usize,
    pub(super) n_kv_heads: usize,
    pub(super) head_dim: usize,
    pub(super) scores: Scores,
}

impl DecoderAttention {
    /// `x` is `[batch, positions, d_model]`, the result of the positions that are read.
    pub(super) fn forward(&self, x: Tensor<3>, attention: Attention<'_>) -> Tensor<3> {
        let (q, k, v) = match self {
            Self::Split(layers) => layers.project(&x, &attention),
            Self::Fused(layers) => layers.project(&x, &attention),
        };
        let (shape, o_proj) = match self {
            Self::Split(layers) => (&layers.shape, &layers.o_proj),
            Self::Fused(layers) => (&layers.shape, &layers.o_proj),
        };
        linear(o_proj, attention.attend(q, k, v, shape.scores))
    }
}

/// Queries, keys and values by head, `[batch, heads, positions, head_dim]`; queries of the
/// positions that are read.
type Projected = (Tensor<4>, Tensor<4>, Tensor<4>);

impl SplitAttention {
    fn project(&self, x: &Tensor<3>, attention: &Attention<'_>) -> Projected {
        let AttentionShape {
            n_heads,
            n_kv_heads,
            ..
        } = self.shape;
        let q = Attention::split_heads(linear(&self.q_proj, attention.queries(x.clone())), n_heads);
        let k = Attention::split_heads(linear(&self.k_proj, x.clone()), n_kv_heads);
        let v = Attention::split_heads(linear(&self.v_proj, x.clone()), n_kv_heads);
        let normed = |norm: &Option<RmsNorm>, x: Tensor<4>| match norm {
            Some(norm) => norm.forward(x),
            None => x,
        };
        (normed(&self.q_norm, q), normed(&self.k_norm, k), v)
    }
}

impl FusedAttention {
    fn project(&self, x: &Tensor<3>, attention: &Attention<'_>) -> Projected {
        let AttentionShape {
            n_heads,
            n_kv_heads,
            head_dim,
            ..
        } = self.shape;
        let qkv = linear(&self.qkv_proj, x.clone());
        let (q_width, kv_width) = (n_heads * head_dim, n_kv_heads * head_dim);
        let part = |start, width| qkv.clone().narrow(2, start, width);
        (
            Attention::split_heads(attention.queries(part(0, q_width)), n_heads),
            Attention::split_heads(part(q_width, kv_width), n_kv_heads),
            Attention::split_heads(part(q_width + kv_width, kv_width), n_kv_heads),
        )
    }
}
