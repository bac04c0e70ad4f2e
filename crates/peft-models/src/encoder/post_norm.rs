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
use peft_kernels::{Sight, attention};

use crate::attention::{drawn, merge_heads, split_heads};
use crate::mask::AttentionBias;
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
    let bias = AttentionBias::new(Sight::ALL, positions, cached, segments);
    let bias = bias.asked_at(at);
    for i in blocks {
        let cache = cache.as_deref_mut().map(|cache| (cache, i));
        x = layers[i].parts().forward(x, &bias, cache);
    }
    x
}

/// Implements the traits of models for an encoder of [`PostNormLayer`]s by its `embeddings`, the field that has its `layer`s, and its `config`.
macro_rules! post_norm_encoder {
    ($name:ident { $blocks:ident }) => {
        impl $crate::FromEmbeddings for $name {
            fn embed(
                &self,
                ids: burn::tensor::Tensor<2, burn::tensor::Int>,
            ) -> burn::tensor::Tensor<3> {
                self.embeddings.embed(ids)
            }

            fn embed_text(
                &self,
                ids: burn::tensor::Tensor<2, burn::tensor::Int>,
                start: usize,
            ) -> burn::tensor::Tensor<3> {
                self.embeddings.embed_text(ids, start)
            }

            fn hidden_from(
                &self,
                embeds: burn::tensor::Tensor<3>,
                segments: Option<burn::tensor::Tensor<2, burn::tensor::Int>>,
                cache: Option<&mut $crate::KvCache>,
            ) -> burn::tensor::Tensor<3> {
                $crate::Transformer::stages(self, embeds, segments, cache)
            }

            fn hidden_at(
                &self,
                embeds: burn::tensor::Tensor<3>,
                segments: Option<burn::tensor::Tensor<2, burn::tensor::Int>>,
                at: burn::tensor::Tensor<2, burn::tensor::Int>,
            ) -> burn::tensor::Tensor<3> {
                $crate::Transformer::stages_at(self, embeds, segments, at)
            }
        }

        impl $crate::Transformer for $name {
            fn begin(
                &self,
                embeds: burn::tensor::Tensor<3>,
                start: usize,
            ) -> burn::tensor::Tensor<3> {
                self.embeddings.begin(embeds, None, start)
            }

            fn n_blocks(&self) -> usize {
                self.$blocks.layer.len()
            }

            fn run_blocks(
                &self,
                x: burn::tensor::Tensor<3>,
                blocks: std::ops::Range<usize>,
                segments: Option<burn::tensor::Tensor<2, burn::tensor::Int>>,
                cache: Option<&mut $crate::KvCache>,
            ) -> burn::tensor::Tensor<3> {
                $crate::encoder::post_norm::run(
                    &self.$blocks.layer,
                    x,
                    blocks,
                    segments,
                    cache,
                    None,
                )
            }

            fn run_last(
                &self,
                x: burn::tensor::Tensor<3>,
                segments: Option<burn::tensor::Tensor<2, burn::tensor::Int>>,
                at: burn::tensor::Tensor<2, burn::tensor::Int>,
            ) -> burn::tensor::Tensor<3> {
                let end = self.$blocks.layer.len();
                let layers = &self.$blocks.layer;
                $crate::encoder::post_norm::run(layers, x, end - 1..end, segments, None, Some(at))
            }

            fn finish(&self, x: burn::tensor::Tensor<3>) -> burn::tensor::Tensor<3> {
                x
            }

            fn d_model(&self) -> usize {
                self.config.d_model
            }

            fn vocab_size(&self) -> usize {
                self.config.vocab_size
            }

            fn max_positions(&self) -> usize {
                self.config.max_positions
            }

            fn kv_shape(&self) -> (usize, usize) {
                (
                    self.config.n_heads,
                    self.config.d_model / self.config.n_heads,
                )
            }
        }
    };
}

pub(super) use post_norm_encoder;

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
        let dropout = drawn(self.weights_dropout, &q.device());
        let q = q.mul_scalar(scale);
        merge_heads(attention(q, k, v, &bias.0, None, dropout))
    }
}
