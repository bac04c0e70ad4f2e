//! [`DistilBertLayer`] and its parts, nested as in checkpoints.

use burn::module::Module;
use burn::nn::{Dropout, Linear};

use crate::encoder::post_norm::PostNorm;
use crate::{Activation, LayerNorm};

/// Attention.
#[derive(Module, Debug)]
pub struct DistilBertAttention {
    /// Queries, `[d_model, d_model]`.
    pub q_lin: Linear,
    /// Keys, `[d_model, d_model]`.
    pub k_lin: Linear,
    /// Values, `[d_model, d_model]`.
    pub v_lin: Linear,
    /// Output, `[d_model, d_model]`.
    pub out_lin: Linear,
    /// Of the weights.
    pub dropout: Dropout,
    pub(super) n_heads: usize,
}

/// The feed-forward layer.
#[derive(Module, Debug)]
pub struct DistilBertFeedForward {
    /// `[d_model, d_ff]`.
    pub lin1: Linear,
    /// `[d_ff, d_model]`.
    pub lin2: Linear,
    /// After `lin2`.
    pub dropout: Dropout,
    #[module(skip)]
    pub(super) activation: Activation,
}

/// One block.
#[derive(Module, Debug)]
pub struct DistilBertLayer {
    /// Attention.
    pub attention: DistilBertAttention,
    /// After attention.
    pub sa_layer_norm: LayerNorm,
    /// The feed-forward layer.
    pub ffn: DistilBertFeedForward,
    /// After the feed-forward layer.
    pub output_layer_norm: LayerNorm,
}

impl DistilBertLayer {
    pub(super) fn parts(&self) -> PostNorm<'_> {
        let Self { attention, ffn, .. } = self;
        PostNorm {
            query: &attention.q_lin,
            key: &attention.k_lin,
            value: &attention.v_lin,
            output: &attention.out_lin,
            attention_norm: &self.sa_layer_norm,
            up: &ffn.lin1,
            down: &ffn.lin2,
            output_norm: &self.output_layer_norm,
            n_heads: attention.n_heads,
            activation: ffn.activation,
            weights_dropout: &attention.dropout,
            attention_dropout: None,
            output_dropout: &ffn.dropout,
        }
    }
}
