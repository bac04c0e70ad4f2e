//! [`BertModel`]: the encoder.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Int, Tensor};
use peft_core::linear;

use super::{BertConfig, BertEmbeddings, BertLayer};
use crate::encoder::pooling;
use crate::encoder::post_norm::post_norm_encoder;

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

    /// As [`begin`](crate::Transformer::begin), with the type of each token: 1 in the second text of a pair.
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

post_norm_encoder!(BertModel { encoder });
