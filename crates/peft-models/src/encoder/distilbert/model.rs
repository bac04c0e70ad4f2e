//! [`DistilBertModel`]: the encoder.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::{Int, Tensor};

use super::{DistilBertConfig, DistilBertLayer};
use crate::encoder::{BertEmbeddings, post_norm};
use crate::{FromEmbeddings, KvCache, Transformer};

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

impl FromEmbeddings for DistilBertModel {
    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        self.embeddings.embed(ids)
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

impl Transformer for DistilBertModel {
    fn begin(&self, embeds: Tensor<3>, start: usize) -> Tensor<3> {
        self.embeddings.begin(embeds, None, start)
    }

    fn n_blocks(&self) -> usize {
        self.transformer.layer.len()
    }

    fn run_blocks(
        &self,
        x: Tensor<3>,
        blocks: Range<usize>,
        segments: Option<Tensor<2, Int>>,
        cache: Option<&mut KvCache>,
    ) -> Tensor<3> {
        post_norm::run(&self.transformer.layer, x, blocks, segments, cache, None)
    }

    fn run_last(
        &self,
        x: Tensor<3>,
        segments: Option<Tensor<2, Int>>,
        at: Tensor<2, Int>,
    ) -> Tensor<3> {
        let end = self.n_blocks();
        let layers = &self.transformer.layer;
        post_norm::run(layers, x, end - 1..end, segments, None, Some(at))
    }

    fn finish(&self, x: Tensor<3>) -> Tensor<3> {
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
