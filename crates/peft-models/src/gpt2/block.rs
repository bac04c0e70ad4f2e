//! [`Gpt2Block`] and what it is made of.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use peft_core::linear;
use peft_model::{Attention, Scores};

use crate::{Activation, LayerNorm};

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
    /// `x` is `[batch, positions, d_model]`, the result of the positions that are read.
    fn forward(&self, x: Tensor<3>, attention: Attention<'_>) -> Tensor<3> {
        let d_model = x.dims()[2];
        let qkv = linear(&self.c_attn, x);
        let part = |i| qkv.clone().narrow(2, i * d_model, d_model);
        let q = Attention::split_heads(attention.queries(part(0)), self.n_heads);
        let [k, v] = [1, 2].map(|i| Attention::split_heads(part(i), self.n_heads));
        let mixed = attention.attend(q, k, v, Scores::new(self.scale));
        linear(&self.c_proj, mixed)
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
    /// As [`Stages::block`](peft_model::Stages::block).
    pub(super) fn forward(&self, x: Tensor<3>, attention: Attention<'_>) -> Tensor<3> {
        let normed = self.ln_1.forward(x.clone());
        let x = attention.queries(x) + self.attn.forward(normed, attention);
        let wide = linear(&self.mlp.c_fc, self.ln_2.forward(x.clone()));
        x + linear(&self.mlp.c_proj, self.mlp.activation.apply(wide))
    }
}
