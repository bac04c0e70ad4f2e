//! [`Gpt2Config`]: the sizes of a GPT-2.

use burn::tensor::Device;

use super::block::{Gpt2Attention, Gpt2Block, Gpt2Mlp};
use super::{Gpt2LmHeadModel, Gpt2Model};
use crate::fresh::{self, INIT_STD};
use crate::{Activation, LayerNorm, ModelConfigError};

/// The sizes and switches of a GPT-2.
#[derive(Debug, Clone, PartialEq)]
pub struct Gpt2Config {
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Width of the residual stream, a multiple of `n_heads`.
    pub d_model: usize,
    /// Width inside the feed-forward layers.
    pub d_ff: usize,
    /// Blocks.
    pub n_layers: usize,
    /// Heads.
    pub n_heads: usize,
    /// Learned positions.
    pub max_positions: usize,
    /// ε of the norms.
    pub norm_epsilon: f64,
    /// The function in the feed-forward layers.
    pub activation: Activation,
    /// Whether the scores are divided by `√head_dim`.
    pub scale_scores: bool,
    /// Whether the scores of block `i`, from 1, are divided by `i`.
    pub scale_by_layer: bool,
    /// Whether the output layer is the transposed embedding.
    pub tie_word_embeddings: bool,
}

impl Gpt2Config {
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
        ModelConfigError::check_positive(&[("norm_epsilon", self.norm_epsilon)])?;
        match self.d_model.is_multiple_of(self.n_heads) {
            true => Ok(()),
            false => Err(ModelConfigError::new(
                "d_model",
                self.d_model as f64,
                "a multiple of n_heads",
            )),
        }
    }

    /// The factor on the scores of block `i`, from 0.
    fn scale(&self, i: usize) -> f64 {
        let by_width = match self.scale_scores {
            true => 1.0 / ((self.d_model / self.n_heads) as f64).sqrt(),
            false => 1.0,
        };
        match self.scale_by_layer {
            true => by_width / (i + 1) as f64,
            false => by_width,
        }
    }

    /// A model with fresh weights, `N(0, 0.02)`, biases zero and norms one. Parameters are
    /// initialised when first read.
    pub fn init(&self, device: &Device) -> Gpt2LmHeadModel {
        let d = self.d_model;
        let linear = |d_in, d_out, bias| fresh::linear([d_in, d_out], bias, INIT_STD, device);
        let norm = || LayerNorm::new(d, self.norm_epsilon, true, device);
        let h = (0..self.n_layers)
            .map(|i| Gpt2Block {
                ln_1: norm(),
                attn: Gpt2Attention {
                    c_attn: linear(d, 3 * d, true),
                    c_proj: linear(d, d, true),
                    n_heads: self.n_heads,
                    scale: self.scale(i),
                },
                ln_2: norm(),
                mlp: Gpt2Mlp {
                    c_fc: linear(d, self.d_ff, true),
                    c_proj: linear(self.d_ff, d, true),
                    activation: self.activation,
                },
            })
            .collect();
        Gpt2LmHeadModel {
            transformer: Gpt2Model {
                wte: fresh::embedding(self.vocab_size, d, device),
                wpe: fresh::embedding(self.max_positions, d, device),
                h,
                ln_f: norm(),
            },
            lm_head: (!self.tie_word_embeddings).then(|| linear(d, self.vocab_size, false)),
            config: self.clone(),
        }
    }
}
