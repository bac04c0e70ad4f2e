//! [`LlamaForCausalLm`]: the decoder with its output layer.

use std::ops::Range;

use burn::module::Module;
use burn::nn::{Embedding, Linear};
use burn::tensor::{Int, Tensor, module};
use peft_core::{embedding, linear};

use super::config::untied;
use super::{LlamaConfig, LlamaDecoderLayer};
use crate::mask::{AttentionBias, Sight};
use crate::rope::Rotation;
use crate::{CausalLm, KvCache, RmsNorm, Transformer};

/// The decoder without its output layer.
#[derive(Module, Debug)]
pub struct LlamaModel {
    /// `[vocabulary, d_model]`.
    pub embed_tokens: Embedding,
    /// The blocks.
    pub layers: Vec<LlamaDecoderLayer>,
    /// The final norm.
    pub norm: RmsNorm,
}

/// A Llama that predicts the next token.
#[derive(Module, Debug)]
pub struct LlamaForCausalLm {
    /// The decoder.
    pub model: LlamaModel,
    /// The output layer, `[d_model, vocabulary]`; none where it is the transposed embedding.
    pub lm_head: Option<Linear>,
    #[module(skip)]
    pub(super) config: LlamaConfig,
}

impl LlamaForCausalLm {
    /// The sizes.
    pub fn config(&self) -> &LlamaConfig {
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
}

impl Transformer for LlamaForCausalLm {
    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        embedding(&self.model.embed_tokens, ids)
    }

    fn begin(&self, embeds: Tensor<3>, _start: usize) -> Tensor<3> {
        embeds
    }

    fn n_blocks(&self) -> usize {
        self.model.layers.len()
    }

    fn run_blocks(
        &self,
        mut x: Tensor<3>,
        blocks: Range<usize>,
        segments: Option<Tensor<2, Int>>,
        mut cache: Option<&mut KvCache>,
    ) -> Tensor<3> {
        let positions = x.dims()[1];
        let cached = cache.as_ref().map_or(0, |cache| cache.len_of(blocks.start));
        let device = x.device();
        let head_dim = self.config.head_dim;
        let rotation = Rotation::new(&self.config.rope, head_dim, cached, positions, &device);
        let bias = AttentionBias::new(Sight::CAUSAL, positions, cached, segments, &device);
        for i in blocks {
            let cache = cache.as_deref_mut().map(|cache| (cache, i));
            x = self.model.layers[i].forward(x, &rotation, &bias, cache);
        }
        x
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

    fn kv_shape(&self) -> (usize, usize) {
        (self.config.n_kv_heads, self.config.head_dim)
    }
}

impl CausalLm for LlamaForCausalLm {
    fn logits(&self, hidden: Tensor<3>) -> Tensor<3> {
        match &self.lm_head {
            Some(head) => linear(head, hidden),
            None => {
                let weight = self.model.embed_tokens.weight.base().transpose();
                module::linear(hidden, weight, None)
            }
        }
    }
}
