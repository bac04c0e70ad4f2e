//! [`DistilBertModel`]: the encoder.

use burn::module::Module;

use super::{DistilBertConfig, DistilBertLayer};
use crate::encoder::BertEmbeddings;
use crate::encoder::post_norm::post_norm_encoder;

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

post_norm_encoder!(DistilBertModel { transformer });
