//! [`DistilBertModel`]: the encoder.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use peft_model::{Attention, Context, Look, Spec, Stages, Transformer};

use super::{DistilBertConfig, DistilBertLayer};
use crate::encoder::BertEmbeddings;

/// The blocks.
#[derive(Module, Debug)]
pub struct DistilBertTransformer {
    /// One after the other.
    pub layer: Vec<DistilBertLayer>,
}

/// The encoder of DistilBERT.
#[derive(Module, Debug)]
pub struct DistilBertModel {
    /// Before the blocks.
    pub embeddings: BertEmbeddings,
    /// The blocks.
    pub transformer: DistilBertTransformer,
    #[module(skip)]
    pub(super) config: DistilBertConfig,
}

impl DistilBertModel {
    /// The sizes.
    pub fn config(&self) -> &DistilBertConfig {
        &self.config
    }
}

impl Stages for DistilBertModel {
    fn spec(&self) -> Spec {
        let config = &self.config;
        Spec {
            d_model: config.d_model,
            n_blocks: self.transformer.layer.len(),
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
            self.transformer.layer[block]
                .output_layer_norm
                .weight
                .lazy_device(),
        )
    }

    fn look(&self, _block: usize) -> Look<'_> {
        Look::ALL
    }

    fn block(&self, block: usize, x: Tensor<3>, attention: Attention<'_>) -> Tensor<3> {
        self.transformer.layer[block].parts().forward(x, attention)
    }
}

impl Transformer for DistilBertModel {
    fn stages(&self) -> &dyn Stages {
        self
    }
}
