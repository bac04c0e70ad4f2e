//! [`DecoderForCausalLm`]: the decoder with its output layer.

use std::collections::HashMap;
use std::ops::Range;

use burn::module::Module;
use burn::nn::{Embedding, Linear};
use burn::tensor::{Int, Tensor};
use peft_core::{FrozenWeight, linear};
use peft_kernels::{Sight, softcap};

use super::{DecoderConfig, DecoderLayer, untied};
use crate::mask::AttentionBias;
use crate::rope::Rotation;
use crate::rows::embedding;
use crate::{CausalLm, FromEmbeddings, KvCache, RmsNorm, Transformer};

/// The decoder without its output layer.
#[derive(Module, Debug)]
pub struct DecoderModel {
    /// `[vocabulary, d_model]`.
    pub embed_tokens: Embedding,
    /// The blocks.
    pub layers: Vec<DecoderLayer>,
    /// The final norm.
    pub norm: RmsNorm,
}

/// A decoder that predicts the next token.
#[derive(Module, Debug)]
pub struct DecoderForCausalLm {
    /// The decoder.
    pub model: DecoderModel,
    /// The output layer, `[d_model, vocabulary]`; none where it is the transposed embedding.
    pub lm_head: Option<Linear>,
    #[module(skip)]
    pub(super) config: DecoderConfig,
}

impl DecoderForCausalLm {
    /// The sizes.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// Give a tied output layer weights of its own, equal to the embedding's base.
    ///
    /// An adapter on the embedding does not change a tied output layer; once it is merged into the embedding, the two differ.
    pub fn untie(mut self) -> Self {
        if self.lm_head.is_none() {
            self.lm_head = Some(untied(&self.model.embed_tokens));
            self.config.tie_word_embeddings = false;
        }
        self
    }

    /// Some blocks; one block where it is asked at some positions alone.
    fn run(
        &self,
        mut x: Tensor<3>,
        blocks: Range<usize>,
        segments: Option<Tensor<2, Int>>,
        mut cache: Option<&mut KvCache>,
        at: Option<Tensor<2, Int>>,
    ) -> Tensor<3> {
        let positions = x.dims()[1];
        let cached = cache.as_ref().map_or(0, |cache| cache.len_of(blocks.start));
        let device = x.device();
        // Layers see all positions or a window, so there are few of each.
        let mut seen: HashMap<Option<usize>, (Rotation, AttentionBias)> = HashMap::new();
        for i in blocks {
            let window = self.config.window(i);
            let (rotation, bias) = seen.entry(window).or_insert_with(|| {
                let sight = Sight {
                    causal: true,
                    reach: window.map(|window| window - 1),
                };
                let rope = self.config.rope_of(i);
                let head_dim = self.config.head_dim;
                let rotation = Rotation::new(rope, head_dim, cached, positions, &device);
                let bias = AttentionBias::new(sight, positions, cached, segments.clone());
                (rotation.asked_at(at.clone()), bias.asked_at(at.clone()))
            });
            let cache = cache.as_deref_mut().map(|cache| (cache, i));
            x = self.model.layers[i].forward(x, rotation, bias, cache);
        }
        x
    }
}

impl FromEmbeddings for DecoderForCausalLm {
    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let embeds = embedding(&self.model.embed_tokens, ids);
        match self.config.embedding_scale {
            Some(scale) => embeds.mul_scalar(scale),
            None => embeds,
        }
    }

    fn hidden_from(
        &self,
        embeds: Tensor<3>,
        segments: Option<Tensor<2, Int>>,
        cache: Option<&mut KvCache>,
    ) -> Tensor<3> {
        self.stages(embeds, segments, cache)
    }

    fn hidden_at(
        &self,
        embeds: Tensor<3>,
        segments: Option<Tensor<2, Int>>,
        at: Tensor<2, Int>,
    ) -> Tensor<3> {
        self.stages_at(embeds, segments, at)
    }
}

impl Transformer for DecoderForCausalLm {
    fn begin(&self, embeds: Tensor<3>, _start: usize) -> Tensor<3> {
        embeds
    }

    fn n_blocks(&self) -> usize {
        self.model.layers.len()
    }

    fn run_blocks(
        &self,
        x: Tensor<3>,
        blocks: Range<usize>,
        segments: Option<Tensor<2, Int>>,
        cache: Option<&mut KvCache>,
    ) -> Tensor<3> {
        self.run(x, blocks, segments, cache, None)
    }

    fn run_last(
        &self,
        x: Tensor<3>,
        segments: Option<Tensor<2, Int>>,
        at: Tensor<2, Int>,
    ) -> Tensor<3> {
        let end = self.n_blocks();
        self.run(x, end - 1..end, segments, None, Some(at))
    }

    fn finish(&self, x: Tensor<3>) -> Tensor<3> {
        self.model.norm.forward(x)
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

    fn cache_holds(&self, cached: usize, length: usize) -> bool {
        let mut ropes = [Some(&self.config.rope), self.config.window_rope.as_ref()].into_iter();
        ropes.all(|rope| rope.is_none_or(|rope| rope.cache_holds(cached, length)))
    }

    fn kv_shape(&self) -> (usize, usize) {
        (self.config.n_kv_heads, self.config.head_dim)
    }
}

impl CausalLm for DecoderForCausalLm {
    fn logits(&self, hidden: Tensor<3>) -> Tensor<3> {
        let logits = tied_logits(&self.lm_head, &self.model.embed_tokens, hidden);
        match self.config.logit_softcap {
            Some(cap) => softcap(logits, cap),
            None => logits,
        }
    }
}

/// The output layer, or the transposed base of the embedding where there is none.
pub(crate) fn tied_logits(
    head: &Option<Linear>,
    embedding: &Embedding,
    hidden: Tensor<3>,
) -> Tensor<3> {
    match head {
        Some(head) => linear(head, hidden),
        None => FrozenWeight::of(&embedding.weight).transposed_product(hidden),
    }
}
