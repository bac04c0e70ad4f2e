//! [`DecoderForCausalLm`]: the decoder with its output layer.

use burn::module::Module;
use burn::nn::{Embedding, Linear};
use burn::tensor::{Device, Int, Tensor};
use peft_core::{linear, tied_output};
use peft_kernels::softcap;
use peft_model::{Attention, CausalLm, Context, Look, Sight, Spec, Stages, Transformer};

use super::{DecoderConfig, DecoderLayer, untied};
use crate::RmsNorm;
use crate::rows::embedding;

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

    pub(crate) fn set_vocab_size(&mut self, size: usize) {
        self.config.vocab_size = size;
    }

    /// Give a tied output layer weights of its own, equal to the embedding's base.
    ///
    /// An adapter on the embedding does not change a tied output layer, unless it trains rows of
    /// both; once it is merged into the embedding, the two differ.
    pub fn untie(mut self) -> Self {
        if self.lm_head.is_none() {
            self.lm_head = Some(untied(&self.model.embed_tokens));
            self.config.tie_word_embeddings = false;
        }
        self
    }
}

impl Stages for DecoderForCausalLm {
    fn spec(&self) -> Spec {
        let config = &self.config;
        Spec {
            d_model: config.d_model,
            n_blocks: self.model.layers.len(),
            vocab_size: config.vocab_size,
            max_positions: config.max_positions,
            n_kv_heads: config.n_kv_heads,
            head_dim: config.head_dim,
        }
    }

    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let embeds = embedding(&self.model.embed_tokens, ids);
        match self.config.embedding_scale {
            Some(scale) => embeds.mul_scalar(scale),
            None => embeds,
        }
    }

    fn device(&self, block: usize) -> Option<Device> {
        Some(
            self.model.layers[block]
                .input_layernorm
                .weight
                .lazy_device(),
        )
    }

    fn look(&self, block: usize) -> Look<'_> {
        Look {
            sight: Sight {
                causal: true,
                reach: self.config.window(block).map(|window| window - 1),
            },
            rope: Some(self.config.rope_of(block)),
        }
    }

    fn block(&self, block: usize, x: Tensor<3>, attention: Attention<'_>) -> Tensor<3> {
        self.model.layers[block].forward(x, attention)
    }

    fn finish(&self, x: Tensor<3>, _context: &Context) -> Tensor<3> {
        self.model.norm.forward(x)
    }
}

impl Transformer for DecoderForCausalLm {
    fn stages(&self) -> &dyn Stages {
        self
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

/// The output layer, or the transposed embedding where there is none.
pub(crate) fn tied_logits(
    head: &Option<Linear>,
    embedding: &Embedding,
    hidden: Tensor<3>,
) -> Tensor<3> {
    match head {
        Some(head) => linear(head, hidden),
        None => tied_output(embedding, hidden),
    }
}
