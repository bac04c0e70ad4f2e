//! [`BertModel`]: the encoder.

use std::ops::Range;

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Int, Tensor};
use peft_core::linear;

use super::{BertConfig, BertEmbeddings, BertLayer};
use crate::encoder::{pooling, post_norm};
use crate::{FromEmbeddings, KvCache, Transformer};

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

    /// As [`begin`](Transformer::begin), with the type of each token: 1 in the second text of a pair.
    ///
    /// # Shapes
    ///
    /// `embeds` and the result are `[batch, positions, d_model]`, `types` `[batch, positions]`.
    ///
    /// # Panics
    ///
    /// If there are more positions than the model has.
    pub fn begin_typed(&self, embeds: Tensor<3>, types: Tensor<2, Int>, start: usize) -> Tensor<3> {
        self.embeddings.begin(embeds, Some(types), start)
    }
}

impl FromEmbeddings for BertModel {
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

impl Transformer for BertModel {
    fn begin(&self, embeds: Tensor<3>, start: usize) -> Tensor<3> {
        self.embeddings.begin(embeds, None, start)
    }

    fn n_blocks(&self) -> usize {
        self.encoder.layer.len()
    }

    fn run_blocks(
        &self,
        x: Tensor<3>,
        blocks: Range<usize>,
        segments: Option<Tensor<2, Int>>,
        cache: Option<&mut KvCache>,
    ) -> Tensor<3> {
        post_norm::run(&self.encoder.layer, x, blocks, segments, cache, None)
    }

    fn run_last(
        &self,
        x: Tensor<3>,
        segments: Option<Tensor<2, Int>>,
        at: Tensor<2, Int>,
    ) -> Tensor<3> {
        let end = self.n_blocks();
        let layers = &self.encoder.layer;
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
