//! [`DecoderLayer`]: one block.

use burn::module::Module;
use burn::tensor::Tensor;
use peft_model::Attention;

use super::{DecoderAttention, DecoderMlp};
use crate::RmsNorm;

/// One block: attention and feed-forward, each behind a norm and beside the residual stream.
///
/// Where a norm follows each of the two as well, `post_attention_layernorm` is the one behind
/// attention and `pre_feedforward_layernorm` the one before the feed-forward layer; where not,
/// `post_attention_layernorm` is the latter. So checkpoints name them.
#[derive(Module, Debug)]
pub struct DecoderLayer {
    /// Attention.
    pub self_attn: DecoderAttention,
    /// Feed-forward.
    pub mlp: DecoderMlp,
    /// Before attention.
    pub input_layernorm: RmsNorm,
    /// After attention: behind the residual stream, or before it.
    pub post_attention_layernorm: RmsNorm,
    /// Before the feed-forward layer.
    pub pre_feedforward_layernorm: Option<RmsNorm>,
    /// Behind the feed-forward layer.
    pub post_feedforward_layernorm: Option<RmsNorm>,
}

impl DecoderLayer {
    /// As [`Stages::block`](peft_model::Stages::block).
    pub(super) fn forward(&self, x: Tensor<3>, attention: Attention<'_>) -> Tensor<3> {
        let normed = self.input_layernorm.forward(x.clone());
        let x = attention.queries(x);
        let attended = self.self_attn.forward(normed, attention);
        let (Some(before), Some(behind)) = (
            &self.pre_feedforward_layernorm,
            &self.post_feedforward_layernorm,
        ) else {
            let x = x + attended;
            let normed = self.post_attention_layernorm.forward(x.clone());
            return x + self.mlp.forward(normed);
        };
        let x = x + self.post_attention_layernorm.forward(attended);
        let mixed = self.mlp.forward(before.forward(x.clone()));
        x + behind.forward(mixed)
    }
}
