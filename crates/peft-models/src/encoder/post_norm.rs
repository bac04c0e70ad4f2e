//! The block of BERT and its descendants: attention and feed-forward, each beside the residual
//! stream and a norm after it. *BERT*, Devlin et al. 2019,
//! [arXiv:1810.04805](https://arxiv.org/abs/1810.04805).
//!
//! ```text
//! a = norm(x + output(attend(query(x), key(x), value(x))))
//! y = norm(a + down(act(up(a))))
//! ```

use burn::nn::{Dropout, Linear};
use burn::tensor::Tensor;
use peft_core::linear;
use peft_model::{Attention, Scores};

use crate::{Activation, LayerNorm, fresh};

/// The layers of a block, which each family names in its own way.
pub(super) struct PostNorm<'a> {
    pub(super) query: &'a Linear,
    pub(super) key: &'a Linear,
    pub(super) value: &'a Linear,
    pub(super) output: &'a Linear,
    pub(super) attention_norm: &'a LayerNorm,
    pub(super) up: &'a Linear,
    pub(super) down: &'a Linear,
    pub(super) output_norm: &'a LayerNorm,
    pub(super) n_heads: usize,
    pub(super) activation: Activation,
    /// Of attention's weights.
    pub(super) weights_dropout: &'a Dropout,
    /// Of attention's output.
    pub(super) attention_dropout: Option<&'a Dropout>,
    /// Of the feed-forward layer's output.
    pub(super) output_dropout: &'a Dropout,
}

impl PostNorm<'_> {
    /// As [`Stages::block`](peft_model::Stages::block).
    pub(super) fn forward(&self, x: Tensor<3>, attention: Attention<'_>) -> Tensor<3> {
        let read = attention.queries(x.clone());
        let split = |layer, x| Attention::split_heads(linear(layer, x), self.n_heads);
        let q = split(self.query, read.clone());
        let (k, v) = (split(self.key, x.clone()), split(self.value, x));
        let scores = Scores {
            dropout: fresh::rate(self.weights_dropout),
            ..Scores::new(1.0 / (q.dims()[3] as f64).sqrt())
        };
        let mixed = linear(self.output, attention.attend(q, k, v, scores));
        let mixed = match self.attention_dropout {
            Some(dropout) => dropout.forward(mixed),
            None => mixed,
        };
        let x = self.attention_norm.forward(mixed + read);
        let inner = self.activation.apply(linear(self.up, x.clone()));
        let inner = self.output_dropout.forward(linear(self.down, inner));
        self.output_norm.forward(inner + x)
    }
}
