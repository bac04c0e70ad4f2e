//! [`LlamaDecoderLayer`] and [`LlamaMlp`].

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use peft_core::linear;

use super::LlamaAttention;
use crate::closed_form::silu;
use crate::mask::AttentionBias;
use crate::rope::Rotation;
use crate::{KvCache, RmsNorm};

/// The gated feed-forward layer, `down(silu(gate(x)) ∘ up(x))`.
#[derive(Module, Debug)]
pub struct LlamaMlp {
    /// `[d_model, d_ff]`.
    pub gate_proj: Linear,
    /// `[d_model, d_ff]`.
    pub up_proj: Linear,
    /// `[d_ff, d_model]`.
    pub down_proj: Linear,
}

impl LlamaMlp {
    /// `x` and the result are `[batch, positions, d_model]`.
    pub(super) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let gate = silu(linear(&self.gate_proj, x.clone()));
        linear(&self.down_proj, gate * linear(&self.up_proj, x))
    }
}

/// One block: attention and feed-forward, each behind a norm and beside the residual stream.
#[derive(Module, Debug)]
pub struct LlamaDecoderLayer {
    /// Attention.
    pub self_attn: LlamaAttention,
    /// Feed-forward.
    pub mlp: LlamaMlp,
    /// Before attention.
    pub input_layernorm: RmsNorm,
    /// Before the feed-forward layer.
    pub post_attention_layernorm: RmsNorm,
}

impl LlamaDecoderLayer {
    /// `x` and the result are `[batch, positions, d_model]`.
    pub(super) fn forward(
        &self,
        x: Tensor<3>,
        rotation: &Rotation,
        bias: &AttentionBias,
        cache: Option<(&mut KvCache, usize)>,
    ) -> Tensor<3> {
        let normed = self.input_layernorm.forward(x.clone());
        let x = x + self.self_attn.forward(normed, rotation, bias, cache);
        let normed = self.post_attention_layernorm.forward(x.clone());
        x + self.mlp.forward(normed)
    }
}
