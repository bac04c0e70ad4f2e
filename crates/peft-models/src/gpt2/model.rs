//! [`Gpt2LmHeadModel`]: a GPT-2 with its output layer.

use std::ops::Range;

use burn::module::Module;
use burn::nn::{Embedding, Linear};
use burn::tensor::{DType, Int, Tensor};
use peft_kernels::Sight;

use super::{Gpt2Block, Gpt2Config};
use crate::decoder::{tied_logits, untied};
use crate::mask::AttentionBias;
use crate::rows::{embedding, shared_embedding};
use crate::{CausalLm, FromEmbeddings, KvCache, LayerNorm, Transformer};

/// A GPT-2 without its output layer.
#[derive(Module, Debug)]
pub struct Gpt2Model {
    /// Tokens, `[vocabulary, d_model]`.
    pub wte: Embedding,
    /// Positions, `[max_positions, d_model]`.
    pub wpe: Embedding,
    /// The blocks.
    pub h: Vec<Gpt2Block>,
    /// The final norm.
    pub ln_f: LayerNorm,
}

/// A GPT-2 that predicts the next token.
#[derive(Module, Debug)]
pub struct Gpt2LmHeadModel {
    /// The decoder.
    pub transformer: Gpt2Model,
    /// The output layer, `[d_model, vocabulary]`; none where it is the transposed embedding.
    pub lm_head: Option<Linear>,
    #[module(skip)]
    pub(super) config: Gpt2Config,
}

impl Gpt2LmHeadModel {
    /// The sizes.
    pub fn config(&self) -> &Gpt2Config {
        &self.config
    }

    /// Give a tied output layer weights of its own, equal to the embedding's base.
    pub fn untie(mut self) -> Self {
        if self.lm_head.is_none() {
            self.lm_head = Some(untied(&self.transformer.wte));
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
        let bias = AttentionBias::new(Sight::CAUSAL, positions, cached, segments);
        let bias = bias.asked_at(at);
        for i in blocks {
            let cache = cache.as_deref_mut().map(|cache| (cache, i));
            x = self.transformer.h[i].forward(x, &bias, cache);
        }
        x
    }
}

impl FromEmbeddings for Gpt2LmHeadModel {
    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        embedding(&self.transformer.wte, ids)
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

impl Transformer for Gpt2LmHeadModel {
    /// # Panics
    ///
    /// If a position is beyond the learned ones.
    fn begin(&self, embeds: Tensor<3>, start: usize) -> Tensor<3> {
        let positions = embeds.dims()[1];
        let device = embeds.device();
        let (first, end) = (start as i64, (start + positions) as i64);
        let places = Tensor::<1, Int>::arange(first..end, (&device, DType::I64));
        let learned = shared_embedding(&self.transformer.wpe, places.unsqueeze());
        embeds + learned
    }

    fn n_blocks(&self) -> usize {
        self.transformer.h.len()
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
        self.transformer.ln_f.forward(x)
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

impl CausalLm for Gpt2LmHeadModel {
    fn logits(&self, hidden: Tensor<3>) -> Tensor<3> {
        tied_logits(&self.lm_head, &self.transformer.wte, hidden)
    }
}
