//! [`ModernBertConfig`]: the sizes of a ModernBERT.

use burn::tensor::Device;

use super::{
    ModernBertAttention, ModernBertEmbeddings, ModernBertLayer, ModernBertMlp, ModernBertModel,
};
use crate::decoder::check_rope;
use crate::encoder::{Pooling, check};
use crate::fresh::{self, INIT_STD};
use crate::{Activation, LayerNorm, ModelConfigError, RopeConfig};

/// The sizes and switches of a ModernBERT.
#[derive(Debug, Clone, PartialEq)]
pub struct ModernBertConfig {
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Width inside the feed-forward layers.
    pub d_ff: usize,
    /// Attention heads, a divisor of `d_model`.
    pub n_heads: usize,
    /// The longest sequence that the model is made for.
    pub max_positions: usize,
    /// Of each block, whether its attention sees only a window.
    pub windowed: Vec<bool>,
    /// How far to each side a position sees in those blocks.
    pub reach: usize,
    /// Rotary settings of blocks that see everything.
    pub global_rope: RopeConfig,
    /// Rotary settings of blocks that see a window.
    pub local_rope: RopeConfig,
    /// ε of the norms.
    pub norm_epsilon: f64,
    /// Whether the norms have biases.
    pub norm_bias: bool,
    /// Whether attention's layers have biases.
    pub attention_bias: bool,
    /// Whether the feed-forward layers have biases.
    pub mlp_bias: bool,
    /// The feed-forward layers' function.
    pub activation: Activation,
    /// How a head that classifies texts gets one vector.
    pub classifier_pooling: Pooling,
    /// Whether the head's dense layer has a bias.
    pub classifier_bias: bool,
    /// The head's function.
    pub classifier_activation: Activation,
    /// Rate of dropout of the embeddings, while training.
    pub embedding_dropout: f64,
    /// Rate of dropout of attention's weights and output, while training.
    pub attention_dropout: f64,
    /// Rate of dropout inside the feed-forward layers, while training.
    pub mlp_dropout: f64,
    /// Rate of dropout in the head, while training.
    pub classifier_dropout: f64,
}

impl ModernBertConfig {
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
        ModelConfigError::check_layers(self.windowed.len())?;
        check::heads(self.d_model, self.n_heads)?;
        let head_dim = self.d_model / self.n_heads;
        ModelConfigError::check_positive(&[("norm_epsilon", self.norm_epsilon)])?;
        check_rope(&self.global_rope, head_dim)?;
        check_rope(&self.local_rope, head_dim)?;
        check::rates(&[
            ("embedding_dropout", self.embedding_dropout),
            ("attention_dropout", self.attention_dropout),
            ("mlp_dropout", self.mlp_dropout),
            ("classifier_dropout", self.classifier_dropout),
        ])
    }

    /// The encoder with fresh weights: `N(0, 0.02)`, output layers `N(0, 0.02 / √(2 n_layers))`,
    /// biases zero and norms one. Parameters are initialised when first read.
    pub fn init(&self, device: &Device) -> ModernBertModel {
        let d = self.d_model;
        let linear = |d_in, d_out, bias, std| fresh::linear([d_in, d_out], bias, std, device);
        let out = self.output_std();
        let layer = |(i, windowed): (usize, &bool)| ModernBertLayer {
            // The first block's input is normed already.
            attn_norm: (i > 0).then(|| self.norm(device)),
            attn: ModernBertAttention {
                Wqkv: linear(d, 3 * d, self.attention_bias, INIT_STD),
                Wo: linear(d, d, self.attention_bias, out),
                dropout: fresh::dropout(self.attention_dropout),
                n_heads: self.n_heads,
            },
            mlp_norm: self.norm(device),
            mlp: ModernBertMlp {
                Wi: linear(d, 2 * self.d_ff, self.mlp_bias, INIT_STD),
                Wo: linear(self.d_ff, d, self.mlp_bias, out),
                drop: fresh::dropout(self.mlp_dropout),
                activation: self.activation,
            },
            windowed: *windowed,
        };
        ModernBertModel {
            embeddings: ModernBertEmbeddings {
                tok_embeddings: fresh::embedding(self.vocab_size, d, device),
                norm: self.norm(device),
                drop: fresh::dropout(self.embedding_dropout),
            },
            layers: self.windowed.iter().enumerate().map(layer).collect(),
            final_norm: self.norm(device),
            config: self.clone(),
        }
    }

    pub(super) fn norm(&self, device: &Device) -> LayerNorm {
        LayerNorm::new(self.d_model, self.norm_epsilon, self.norm_bias, device)
    }

    /// Standard deviation of fresh output layers.
    pub(super) fn output_std(&self) -> f64 {
        INIT_STD / (2.0 * self.windowed.len() as f64).sqrt()
    }
}
