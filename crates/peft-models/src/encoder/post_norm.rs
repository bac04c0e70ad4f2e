//! The block of BERT and its descendants: attention and feed-forward, each beside the residual stream and a norm after it. *BERT*, Devlin et al. 2019,
//! [arXiv:1810.04805](https://arxiv.org/abs/1810.04805).
//!
//! ```text
//! a = norm(x + output(attend(query(x), key(x), value(x))))
//! y = norm(a + down(act(up(a))))
//! ```

use std::ops::Range;

use burn::nn::{Dropout, Linear};
use burn::tensor::{Int, Tensor};
use peft_core::linear;

use crate::attention::{attend_with, merge_heads, split_heads};
use crate::mask::{AttentionBias, Sight};
use crate::{Activation, KvCache, LayerNorm};

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

/// A block that is a [`PostNorm`] by other names.
pub(super) trait PostNormLayer {
    fn parts(&self) -> PostNorm<'_>;
}

/// Some blocks, as in [`Transformer::run_blocks`](crate::Transformer::run_blocks); one block where it is asked at some positions alone, as in
/// [`Transformer::run_last`](crate::Transformer::run_last).
pub(super) fn run<L: PostNormLayer>(
    layers: &[L],
    mut x: Tensor<3>,
    blocks: Range<usize>,
    segments: Option<Tensor<2, Int>>,
    mut cache: Option<&mut KvCache>,
    at: Option<Tensor<2, Int>>,
) -> Tensor<3> {
    let positions = x.dims()[1];
    let cached = cache.as_ref().map_or(0, |cache| cache.len_of(blocks.start));
    let bias = AttentionBias::new(Sight::ALL, positions, cached, segments, &x.device());
    let bias = bias.asked_at(at);
    for i in blocks {
        let cache = cache.as_deref_mut().map(|cache| (cache, i));
        x = layers[i].parts().forward(x, &bias, cache);
    }
    x
}

impl PostNorm<'_> {
    /// `x` is `[batch, positions, d_model]`, the result of the positions that ask.
    fn forward(
        &self,
        x: Tensor<3>,
        bias: &AttentionBias,
        cache: Option<(&mut KvCache, usize)>,
    ) -> Tensor<3> {
        let asking = bias.asking(x.clone());
        let mixed = linear(self.output, self.mix(asking.clone(), x, bias, cache));
        let mixed = match self.attention_dropout {
            Some(dropout) => dropout.forward(mixed),
            None => mixed,
        };
        let x = self.attention_norm.forward(mixed + asking);
        let inner = self.activation.apply(linear(self.up, x.clone()));
        let inner = self.output_dropout.forward(linear(self.down, inner));
        self.output_norm.forward(inner + x)
    }

    /// Attention before its output layer, of the same shapes.
    fn mix(
        &self,
        asking: Tensor<3>,
        x: Tensor<3>,
        bias: &AttentionBias,
        cache: Option<(&mut KvCache, usize)>,
    ) -> Tensor<3> {
        let q = split_heads(linear(self.query, asking), self.n_heads);
        let k = split_heads(linear(self.key, x.clone()), self.n_heads);
        let v = split_heads(linear(self.value, x), self.n_heads);
        let scale = 1.0 / (q.dims()[3] as f64).sqrt();
        let (k, v) = match cache {
            Some((cache, layer)) => cache.append(layer, k, v),
            None => (k, v),
        };
        let dropped = |weights| self.weights_dropout.forward(weights);
        merge_heads(attend_with(
            q.mul_scalar(scale),
            k,
            v,
            bias,
            1,
            None,
            dropped,
        ))
    }
}
