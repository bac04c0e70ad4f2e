//! [`BertLayer`] and its parts, nested as in checkpoints.
#![allow(non_snake_case)] // a checkpoint's name

use burn::module::Module;
use burn::nn::{Dropout, Linear};

use crate::encoder::named::named_module;
use crate::encoder::post_norm::PostNorm;
use crate::{Activation, LayerNorm};

/// The inputs of attention.
#[derive(Module, Debug)]
pub struct BertSelfAttention {
    /// `[d_model, d_model]`.
    pub query: Linear,
    /// `[d_model, d_model]`.
    pub key: Linear,
    /// `[d_model, d_model]`.
    pub value: Linear,
    /// Of the weights.
    pub dropout: Dropout,
    pub(super) n_heads: usize,
}

/// What follows attention and what follows the feed-forward layer: `norm(dense(x) + residual)`.
#[derive(Module, Debug)]
pub struct BertOutput {
    /// `[d_in, d_model]`.
    pub dense: Linear,
    /// The norm.
    pub LayerNorm: LayerNorm,
    /// After `dense`.
    pub dropout: Dropout,
}

/// Attention.
#[derive(Debug, Clone)]
pub struct BertAttention {
    /// `self` in the paths of its parameters.
    pub self_: BertSelfAttention,
    /// The output layer.
    pub output: BertOutput,
}

named_module!(BertAttention {
    self_: "self",
    output: "output"
});

/// The feed-forward layer's first half.
#[derive(Module, Debug)]
pub struct BertIntermediate {
    /// `[d_model, d_ff]`.
    pub dense: Linear,
    #[module(skip)]
    pub(super) activation: Activation,
}

/// One block.
#[derive(Module, Debug)]
pub struct BertLayer {
    /// Attention.
    pub attention: BertAttention,
    /// The feed-forward layer's first half.
    pub intermediate: BertIntermediate,
    /// The feed-forward layer's second half.
    pub output: BertOutput,
}

impl BertLayer {
    pub(super) fn parts(&self) -> PostNorm<'_> {
        let BertAttention { self_, output } = &self.attention;
        PostNorm {
            query: &self_.query,
            key: &self_.key,
            value: &self_.value,
            output: &output.dense,
            attention_norm: &output.LayerNorm,
            up: &self.intermediate.dense,
            down: &self.output.dense,
            output_norm: &self.output.LayerNorm,
            n_heads: self_.n_heads,
            activation: self.intermediate.activation,
            weights_dropout: &self_.dropout,
            attention_dropout: Some(&output.dropout),
            output_dropout: &self.output.dropout,
        }
    }
}
