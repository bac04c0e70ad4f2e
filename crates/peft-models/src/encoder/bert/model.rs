//! [`BertModel`]: the encoder.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Int, Tensor};
use peft_core::linear;
use peft_model::{Attention, Context, Look, Spec, Stages, Transformer};

use super::{BertConfig, BertEmbeddings, BertLayer};
use crate::encoder::pooling;

/// The blocks.
#[derive(Module, Debug)]
pub struct BertEncoder {
    /// One after the other.
    pub layer: Vec<BertLayer>,
}

/// `tanh(dense(h))` of the first position's state.
#[derive(Module, Debug)]
pub struct BertPooler {
    /// `[d_model, d_model]`.
    pub dense: Linear,
}

impl BertPooler {
    /// `[batch, positions, d_model]` to `[batch, d_model]`.
    pub(super) fn forward(&self, hidden: Tensor<3>) -> Tensor<2> {
        linear(&self.dense, pooling::first(hidden)).tanh()
    }
}

/// The encoder of BERT and RoBERTa.
#[derive(Module, Debug)]
pub struct BertModel {
    /// Before the blocks.
    pub embeddings: BertEmbeddings,
    /// The blocks.
    pub encoder: BertEncoder,
    /// After the blocks, for heads that read it.
    pub pooler: Option<BertPooler>,
    #[module(skip)]
    pub(super) config: BertConfig,
}

impl BertModel {
    /// The sizes.
    pub fn config(&self) -> &BertConfig {
        &self.config
    }
}

impl Stages for BertModel {
    fn spec(&self) -> Spec {
        let config = &self.config;
        Spec {
            d_model: config.d_model,
            n_blocks: self.encoder.layer.len(),
            vocab_size: config.vocab_size,
            max_positions: config.max_positions,
            n_kv_heads: config.n_heads,
            head_dim: config.d_model / config.n_heads,
        }
    }

    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        self.embeddings.embed(ids)
    }

    fn embed_text(&self, ids: Tensor<2, Int>, context: &Context) -> Tensor<3> {
        self.embeddings.embed_text(ids, context)
    }

    fn begin(&self, embeds: Tensor<3>, context: &Context) -> Tensor<3> {
        self.embeddings.begin(embeds, context)
    }

    fn device(&self, block: usize) -> Option<Device> {
        Some(
            self.encoder.layer[block]
                .output
                .LayerNorm
                .weight
                .lazy_device(),
        )
    }

    fn look(&self, _block: usize) -> Look<'_> {
        Look::ALL
    }

    fn block(&self, block: usize, x: Tensor<3>, attention: Attention<'_>) -> Tensor<3> {
        self.encoder.layer[block].parts().forward(x, attention)
    }
}

impl Transformer for BertModel {
    fn stages(&self) -> &dyn Stages {
        self
    }
}
