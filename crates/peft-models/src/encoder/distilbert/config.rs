//! [`DistilBertConfig`]: the sizes of a DistilBERT.

use burn::nn::Linear;
use burn::tensor::Device;

use super::{
    DistilBertAttention, DistilBertFeedForward, DistilBertLayer, DistilBertModel,
    DistilBertTransformer,
};
use crate::encoder::{BertEmbeddings, check};
use crate::fresh::{self, INIT_STD};
use crate::{Activation, LayerNorm, ModelConfigError};

/// ε of all norms; no config changes it.
const NORM_EPSILON: f64 = 1e-12;

/// The sizes and switches of a DistilBERT.
#[derive(Debug, Clone, PartialEq)]
pub struct DistilBertConfig {
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Width inside the feed-forward layers.
    pub d_ff: usize,
    /// Blocks.
    pub n_layers: usize,
    /// Attention heads, a divisor of `d_model`.
    pub n_heads: usize,
    /// The longest sequence that the model is made for.
    pub max_positions: usize,
    /// The feed-forward layers' function.
    pub activation: Activation,
    /// Rate of dropout of the embeddings, of what joins the residual stream, and in a head that
    /// classifies tokens, while training.
    pub hidden_dropout: f64,
    /// Rate of dropout of attention's weights, while training.
    pub attention_dropout: f64,
    /// Rate of dropout in a head that classifies texts, while training.
    pub classifier_dropout: f64,
}

impl DistilBertConfig {
    /// Whether a model can be made of this.
    ///
    /// # Errors
    ///
    /// The first setting that cannot be.
    pub fn validate(&self) -> Result<(), ModelConfigError> {
        ModelConfigError::check_sizes(&[
            ("vocab_size", self.vocab_size),
            ("d_model", self.d_model),
            ("d_ff", self.d_ff),
            ("n_heads", self.n_heads),
            ("max_positions", self.max_positions),
        ])?;
        ModelConfigError::check_layers(self.n_layers)?;
        check::heads(self.d_model, self.n_heads)?;
        check::rates(&[
            ("hidden_dropout", self.hidden_dropout),
            ("attention_dropout", self.attention_dropout),
            ("classifier_dropout", self.classifier_dropout),
        ])
    }

    /// The encoder with fresh weights, `N(0, 0.02)`, biases zero and norms one. Parameters are
    /// initialised when first read.
    pub fn init(&self, device: &Device) -> DistilBertModel {
        let d = self.d_model;
        let linear = |d_in, d_out| self.linear(d_in, d_out, device);
        let norm = || LayerNorm::new(d, NORM_EPSILON, true, device);
        let layer = |_| DistilBertLayer {
            attention: DistilBertAttention {
                q_lin: linear(d, d),
                k_lin: linear(d, d),
                v_lin: linear(d, d),
                out_lin: linear(d, d),
                dropout: fresh::dropout(self.attention_dropout),
                n_heads: self.n_heads,
            },
            sa_layer_norm: norm(),
            ffn: DistilBertFeedForward {
                lin1: linear(d, self.d_ff),
                lin2: linear(self.d_ff, d),
                dropout: fresh::dropout(self.hidden_dropout),
                activation: self.activation,
            },
            output_layer_norm: norm(),
        };
        DistilBertModel {
            embeddings: BertEmbeddings {
                word_embeddings: fresh::embedding(self.vocab_size, d, device),
                position_embeddings: fresh::embedding(self.max_positions, d, device),
                token_type_embeddings: None,
                LayerNorm: norm(),
                dropout: fresh::dropout(self.hidden_dropout),
                position_offset: 0,
            },
            transformer: DistilBertTransformer {
                layer: (0..self.n_layers).map(layer).collect(),
            },
            config: self.clone(),
        }
    }

    /// A fresh linear layer.
    pub(super) fn linear(&self, d_in: usize, d_out: usize, device: &Device) -> Linear {
        fresh::linear([d_in, d_out], true, INIT_STD, device)
    }
}
