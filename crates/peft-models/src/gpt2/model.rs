//! [`Gpt2LmHeadModel`]: a GPT-2 with its output layer.

use burn::module::Module;
use burn::nn::{Embedding, Linear};
use burn::tensor::{Device, Int, Tensor};
use peft_model::{Attention, CausalLm, Context, Look, Spec, Stages, Transformer};

use super::{Gpt2Block, Gpt2Config};
use crate::LayerNorm;
use crate::decoder::{tied_logits, untied};
use crate::rows::{embedding, shared_embedding};

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

    pub(crate) fn set_vocab_size(&mut self, size: usize) {
        self.config.vocab_size = size;
    }

    /// Give a tied output layer weights of its own, equal to the embedding's base.
    pub fn untie(mut self) -> Self {
        if self.lm_head.is_none() {
            self.lm_head = Some(untied(&self.transformer.wte));
            self.config.tie_word_embeddings = false;
        }
        self
    }
}

impl Stages for Gpt2LmHeadModel {
    fn spec(&self) -> Spec {
        let config = &self.config;
        Spec {
            d_model: config.d_model,
            n_blocks: self.transformer.h.len(),
            vocab_size: config.vocab_size,
            max_positions: config.max_positions,
            n_kv_heads: config.n_heads,
            head_dim: config.d_model / config.n_heads,
        }
    }

    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        embedding(&self.transformer.wte, ids)
    }

    /// # Panics
    ///
    /// If a position is beyond the learned ones.
    fn begin(&self, embeds: Tensor<3>, context: &Context) -> Tensor<3> {
        embeds + shared_embedding(&self.transformer.wpe, context.places())
    }

    fn device(&self, block: usize) -> Option<Device> {
        Some(self.transformer.h[block].ln_1.weight.lazy_device())
    }

    fn look(&self, _block: usize) -> Look<'_> {
        Look::CAUSAL
    }

    fn block(&self, block: usize, x: Tensor<3>, attention: Attention<'_>) -> Tensor<3> {
        self.transformer.h[block].forward(x, attention)
    }

    fn finish(&self, x: Tensor<3>, _context: &Context) -> Tensor<3> {
        self.transformer.ln_f.forward(x)
    }
}

impl Transformer for Gpt2LmHeadModel {
    fn stages(&self) -> &dyn Stages {
        self
    }
}

impl CausalLm for Gpt2LmHeadModel {
    fn logits(&self, hidden: Tensor<3>) -> Tensor<3> {
        tied_logits(&self.lm_head, &self.transformer.wte, hidden)
    }
}
