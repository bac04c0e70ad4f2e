//! [`ModernBertLayer`] and its parts.
#![allow(non_snake_case)] // a checkpoint's names

use burn::module::Module;
use burn::nn::{Dropout, Linear};
use burn::tensor::Tensor;
use peft_core::linear;
use peft_model::{Attention, Scores};

use crate::{Activation, LayerNorm, fresh};

/// Attention with rotary positions.
#[derive(Module, Debug)]
pub struct ModernBertAttention {
    /// Queries, keys and values beside each other, `[d_model, 3 d_model]`.
    pub Wqkv: Linear,
    /// Output, `[d_model, d_model]`.
    pub Wo: Linear,
    /// Of the weights and of the output.
    pub dropout: Dropout,
    pub(super) n_heads: usize,
}

impl ModernBertAttention {
    /// `x` is `[batch, positions, d_model]`, the result of the positions that are read.
    fn forward(&self, x: Tensor<3>, attention: Attention<'_>) -> Tensor<3> {
        let width = x.dims()[2];
        let qkv = linear(&self.Wqkv, x); // [batch, positions, 3 d_model]
        let part = |i| qkv.clone().narrow(2, i * width, width);
        let q = Attention::split_heads(attention.queries(part(0)), self.n_heads);
        let [k, v] = [1, 2].map(|i| Attention::split_heads(part(i), self.n_heads));
        let scores = Scores {
            dropout: fresh::rate(&self.dropout),
            ..Scores::new(1.0 / ((width / self.n_heads) as f64).sqrt())
        };
        let mixed = attention.attend(q, k, v, scores);
        self.dropout.forward(linear(&self.Wo, mixed))
    }
}

/// The gated feed-forward layer, `Wo(act(input) ∘ gate)`.
#[derive(Module, Debug)]
pub struct ModernBertMlp {
    /// Input and gate beside each other, `[d_model, 2 d_ff]`.
    pub Wi: Linear,
    /// `[d_ff, d_model]`.
    pub Wo: Linear,
    /// Before `Wo`.
    pub drop: Dropout,
    #[module(skip)]
    pub(super) activation: Activation,
}

impl ModernBertMlp {
    /// `x` and the result are `[batch, positions, d_model]`.
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let both = linear(&self.Wi, x); // [batch, positions, 2 d_ff]
        let width = both.dims()[2] / 2;
        let (input, gate) = (
            both.clone().narrow(2, 0, width),
            both.narrow(2, width, width),
        );
        let gated = self.activation.gate(input, gate);
        linear(&self.Wo, self.drop.forward(gated))
    }
}

/// One block: attention and feed-forward, each behind a norm and beside the residual stream.
#[derive(Module, Debug)]
pub struct ModernBertLayer {
    /// Before attention; none in the first block.
    pub attn_norm: Option<LayerNorm>,
    /// Attention.
    pub attn: ModernBertAttention,
    /// Before the feed-forward layer.
    pub mlp_norm: LayerNorm,
    /// The feed-forward layer.
    pub mlp: ModernBertMlp,
    pub(super) windowed: bool,
}

impl ModernBertLayer {
    /// As [`Stages::block`](peft_model::Stages::block).
    pub(super) fn forward(&self, x: Tensor<3>, attention: Attention<'_>) -> Tensor<3> {
        let normed = match &self.attn_norm {
            Some(norm) => norm.forward(x.clone()),
            None => x.clone(),
        };
        let x = attention.queries(x) + self.attn.forward(normed, attention);
        let normed = self.mlp_norm.forward(x.clone());
        x + self.mlp.forward(normed)
    }
}
