//! [`BertConfig`]: the sizes of a BERT.

use burn::nn::Linear;
use burn::tensor::Device;

use super::{
    BertAttention, BertEmbeddings, BertEncoder, BertIntermediate, BertLayer, BertModel, BertOutput,
    BertPooler, BertSelfAttention,
};
use crate::encoder::check;
use crate::fresh::{self, INIT_STD};
use crate::{Activation, LayerNorm, ModelConfigError};

/// The sizes and switches of a BERT or RoBERTa.
#[derive(Debug, Clone, PartialEq)]
pub struct BertConfig {
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
    /// Rows of the position table before that of the first position: none in BERT, in RoBERTa up to
    /// the padding token's and with it.
    pub position_offset: usize,
    /// Rows of the token type table; all tokens are of type 0.
    pub n_token_types: usize,
    /// ε of the norms.
    pub norm_epsilon: f64,
    /// The feed-forward layers' function.
    pub activation: Activation,
    /// Whether the encoder by itself has a pooling layer. With a head it has one where the head
    /// reads it.
    pub pooler: bool,
    /// Rate of dropout of the embeddings and of what joins the residual stream, while training.
    pub hidden_dropout: f64,
    /// Rate of dropout of attention's weights, while training.
    pub attention_dropout: f64,
    /// Rate of dropout in the head, while training.
    pub classifier_dropout: f64,
}

impl BertConfig {
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
            ("n_token_types", self.n_token_types),
            // May be zero.
            ("position_offset", self.position_offset.max(1)),
        ])?;
        ModelConfigError::check_layers(self.n_layers)?;
        check::heads(self.d_model, self.n_heads)?;
        ModelConfigError::check_positive(&[("norm_epsilon", self.norm_epsilon)])?;
        check::rates(&[
            ("hidden_dropout", self.hidden_dropout),
            ("attention_dropout", self.attention_dropout),
            ("classifier_dropout", self.classifier_dropout),
        ])
    }

    /// The encoder with fresh weights, `N(0, 0.02)`, biases zero and norms one. Parameters are
    /// initialised when first read.
    pub fn init(&self, device: &Device) -> BertModel {
        self.init_with(self.pooler, device)
    }

    pub(in crate::encoder) fn init_with(&self, pooler: bool, device: &Device) -> BertModel {
        let linear = |d_in, d_out| self.linear(d_in, d_out, device);
        let norm = || LayerNorm::new(self.d_model, self.norm_epsilon, true, device);
        let dropout = || fresh::dropout(self.hidden_dropout);
        let output = |d_in| BertOutput {
            dense: linear(d_in, self.d_model),
            LayerNorm: norm(),
            dropout: dropout(),
        };
        let layer = |_| BertLayer {
            attention: BertAttention {
                self_: BertSelfAttention {
                    query: linear(self.d_model, self.d_model),
                    key: linear(self.d_model, self.d_model),
                    value: linear(self.d_model, self.d_model),
                    dropout: fresh::dropout(self.attention_dropout),
                    n_heads: self.n_heads,
                },
                output: output(self.d_model),
            },
            intermediate: BertIntermediate {
                dense: linear(self.d_model, self.d_ff),
                activation: self.activation,
            },
            output: output(self.d_ff),
        };
        let table = |rows| fresh::embedding(rows, self.d_model, device);
        BertModel {
            embeddings: BertEmbeddings {
                word_embeddings: table(self.vocab_size),
                position_embeddings: table(self.max_positions + self.position_offset),
                token_type_embeddings: Some(table(self.n_token_types)),
                LayerNorm: norm(),
                dropout: dropout(),
                position_offset: self.position_offset,
            },
            encoder: BertEncoder {
                layer: (0..self.n_layers).map(layer).collect(),
            },
            pooler: pooler.then(|| BertPooler {
                dense: linear(self.d_model, self.d_model),
            }),
            config: self.clone(),
        }
    }

    /// A fresh linear layer.
    pub(in crate::encoder) fn linear(&self, d_in: usize, d_out: usize, device: &Device) -> Linear {
        fresh::linear([d_in, d_out], true, INIT_STD, device)
    }
}
