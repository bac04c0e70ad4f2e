//! [`Gpt2Block`] and what it is made of.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use peft_core::linear;
use peft_kernels::attention;

use crate::attention::{merge_heads, split_heads};
use crate::mask::AttentionBias;
use crate::{Activation, KvCache, LayerNorm};

/// Causal self-attention with one projection for queries, keys and values.
#[derive(Module, Debug)]
pub struct Gpt2Attention {
    /// Queries, keys and values side by side, `[d_model, 3 d_model]`.
    pub c_attn: Linear,
    /// Output, `[d_model, d_model]`.
    pub c_proj: Linear,
    pub(super) n_heads: usize,
    pub(super) scale: f64,
}

impl Gpt2Attention {
    /// `x` is `[batch, positions, d_model]`, the result of the positions that ask.
    fn forward(
        &self,
        x: Tensor<3>,
        bias: &AttentionBias,
        cache: Option<(&mut KvCache, usize)>,
    ) -> Tensor<3> {
        let d_model = x.dims()[2];
        let qkv = linear(&self.c_attn, x);
        let part = |i| qkv.clone().narrow(2, i * d_model, d_model);
        let q = split_heads(bias.asking(part(0)), self.n_heads).mul_scalar(self.scale);
        let [k, v] = [1, 2].map(|i| split_heads(part(i), self.n_heads));
        let (k, v) = match cache {
            Some((cache, layer)) => cache.append(layer, k, v),
            None => (k, v),
        };
        let mixed = attention(q, k, v, &bias.0, None, None);
        linear(&self.c_proj, merge_heads(mixed))
    }
}

/// The feed-forward layer, `c_proj(f(c_fc(x)))`.
#[derive(Module, Debug)]
pub struct Gpt2Mlp {
    /// `[d_model, d_ff]`.
    pub c_fc: Linear,
    /// `[d_ff, d_model]`.
    pub c_proj: Linear,
    #[module(skip)]
    pub(super) activation: Activation,
}

/// One block: attention and feed-forward layer, each behind a norm and beside the residual stream.
#[derive(Module, Debug)]
pub struct Gpt2Block {
    /// Before attention.
    pub ln_1: LayerNorm,
    /// Attention.
    pub attn: Gpt2Attention,
    /// Before the feed-forward layer.
    pub ln_2: LayerNorm,
    /// Feed-forward.
    pub mlp: Gpt2Mlp,
}

impl Gpt2Block {
    /// `x` is `[batch, positions, d_model]`, the result of the positions that ask.
    pub(super) fn forward(
        &self,
        x: Tensor<3>,
        bias: &AttentionBias,
        cache: Option<(&mut KvCache, usize)>,
    ) -> Tensor<3> {
        let normed = self.ln_1.forward(x.clone());
        let x = bias.asking(x) + self.attn.forward(normed, bias, cache);
        let wide = linear(&self.mlp.c_fc, self.ln_2.forward(x.clone()));
        x + linear(&self.mlp.c_proj, self.mlp.activation.apply(wide))
    }
}
