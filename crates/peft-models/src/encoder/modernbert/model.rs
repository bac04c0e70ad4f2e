//! [`ModernBertModel`]: the encoder.

use burn::module::Module;
use burn::nn::{Dropout, Embedding};
use burn::tensor::{Device, Int, Tensor};
use peft_model::{Attention, Context, Look, Sight, Spec, Stages, Transformer};

use super::{ModernBertConfig, ModernBertLayer};
use crate::LayerNorm;
use crate::rows::embedding;

/// What the first block reads, `norm(word)`.
#[derive(Module, Debug)]
pub struct ModernBertEmbeddings {
    /// `[vocabulary, d_model]`.
    pub tok_embeddings: Embedding,
    /// The norm.
    pub norm: LayerNorm,
    /// After the norm.
    pub drop: Dropout,
}

/// The encoder of ModernBERT.
#[derive(Module, Debug)]
pub struct ModernBertModel {
    /// Before the blocks.
    pub embeddings: ModernBertEmbeddings,
    /// The blocks.
    pub layers: Vec<ModernBertLayer>,
    /// After the blocks.
    pub final_norm: LayerNorm,
    #[module(skip)]
    pub(super) config: ModernBertConfig,
}

impl ModernBertModel {
    /// The sizes.
    pub fn config(&self) -> &ModernBertConfig {
        &self.config
    }
}

impl Stages for ModernBertModel {
    fn spec(&self) -> Spec {
        let config = &self.config;
        Spec {
            d_model: config.d_model,
            n_blocks: self.layers.len(),
            vocab_size: config.vocab_size,
            max_positions: config.max_positions,
            n_kv_heads: config.n_heads,
            head_dim: config.d_model / config.n_heads,
        }
    }

    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        embedding(&self.embeddings.tok_embeddings, ids)
    }

    fn begin(&self, embeds: Tensor<3>, _context: &Context) -> Tensor<3> {
        let normed = self.embeddings.norm.forward(embeds);
        self.embeddings.drop.forward(normed)
    }

    fn device(&self, block: usize) -> Option<Device> {
        Some(self.layers[block].mlp_norm.weight.lazy_device())
    }

    fn look(&self, block: usize) -> Look<'_> {
        let (reach, rope) = match self.layers[block].windowed {
            true => (Some(self.config.reach), &self.config.local_rope),
            false => (None, &self.config.global_rope),
        };
        Look {
            sight: Sight {
                causal: false,
                reach,
            },
            rope: Some(rope),
        }
    }

    fn block(&self, block: usize, x: Tensor<3>, attention: Attention<'_>) -> Tensor<3> {
        self.layers[block].forward(x, attention)
    }

    fn finish(&self, x: Tensor<3>, _context: &Context) -> Tensor<3> {
        self.final_norm.forward(x)
    }
}

impl Transformer for ModernBertModel {
    fn stages(&self) -> &dyn Stages {
        self
    }
}
