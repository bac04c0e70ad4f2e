//! [`LlamaConfig`]: the sizes of a Llama.

use burn::module::{Module, Param};
use burn::nn::{Embedding, EmbeddingConfig, Initializer, Linear};
use burn::tensor::Device;

use super::{LlamaAttention, LlamaDecoderLayer, LlamaForCausalLm, LlamaMlp, LlamaModel};
use crate::{RmsNorm, RopeConfig, RopeScaling};

/// Standard deviation of fresh weights.
const INIT_STD: f64 = 0.02;
/// More than any model has; keeps a config that lies from taking all memory.
const MAX_LAYERS: usize = 4096;

/// The sizes and switches of a Llama.
#[derive(Debug, Clone, PartialEq)]
pub struct LlamaConfig {
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Width inside the feed-forward layers.
    pub d_ff: usize,
    /// Decoder layers.
    pub n_layers: usize,
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads, a divisor of `n_heads`.
    pub n_kv_heads: usize,
    /// Width of a head, even.
    pub head_dim: usize,
    /// ε of the norms.
    pub norm_epsilon: f64,
    /// The longest sequence that the model is made for.
    pub max_positions: usize,
    /// Rotary settings.
    pub rope: RopeConfig,
    /// Whether the attention projections have biases.
    pub attention_bias: bool,
    /// Whether the feed-forward projections have biases.
    pub mlp_bias: bool,
    /// Whether the output layer is the transposed embedding.
    pub tie_word_embeddings: bool,
}

/// A setting of a [`LlamaConfig`] that cannot be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{field} is {value}, but must be {expected}")]
#[non_exhaustive]
pub struct LlamaConfigError {
    /// The setting.
    pub field: &'static str,
    /// Its value.
    pub value: f64,
    /// What it must be.
    pub expected: &'static str,
}

impl LlamaConfig {
    /// Whether a model can be made of this.
    ///
    /// # Errors
    ///
    /// The first setting that cannot be.
    pub fn validate(&self) -> Result<(), LlamaConfigError> {
        let limited = [
            ("vocab_size", self.vocab_size),
            ("d_model", self.d_model),
            ("d_ff", self.d_ff),
            ("n_heads", self.n_heads),
            ("n_kv_heads", self.n_kv_heads),
            ("head_dim", self.head_dim),
            ("max_positions", self.max_positions),
        ];
        let wrong = |field, value: f64, expected| {
            Err(LlamaConfigError {
                field,
                value,
                expected,
            })
        };
        for (field, value) in limited {
            if !(1..=1 << 26).contains(&value) {
                return wrong(field, value as f64, "between 1 and 2^26");
            }
        }
        if !(1..=MAX_LAYERS).contains(&self.n_layers) {
            return wrong("n_layers", self.n_layers as f64, "between 1 and 4096");
        }
        if !self.n_heads.is_multiple_of(self.n_kv_heads) {
            return wrong("n_kv_heads", self.n_kv_heads as f64, "a divisor of n_heads");
        }
        if !self.head_dim.is_multiple_of(2) {
            return wrong("head_dim", self.head_dim as f64, "even");
        }
        let mut positive = vec![
            ("norm_epsilon", self.norm_epsilon),
            ("rope.theta", self.rope.theta),
        ];
        match self.rope.scaling {
            RopeScaling::Default => {}
            RopeScaling::Linear { factor } => positive.push(("rope.factor", factor)),
            RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_positions,
            } => positive.extend([
                ("rope.factor", factor),
                ("rope.low_freq_factor", low_freq_factor),
                ("rope.high_freq_factor", high_freq_factor),
                ("rope.original_max_positions", original_max_positions as f64),
            ]),
        }
        for (field, value) in positive {
            if !(value.is_finite() && value > 0.0) {
                return wrong(field, value, "finite and above zero");
            }
        }
        match self.rope.scaling {
            RopeScaling::Llama3 {
                low_freq_factor,
                high_freq_factor,
                ..
            } if high_freq_factor <= low_freq_factor => wrong(
                "rope.high_freq_factor",
                high_freq_factor,
                "above rope.low_freq_factor",
            ),
            _ => Ok(()),
        }
    }

    /// A model with fresh weights, `N(0, 0.02)`, biases zero and norms one. Parameters are initialised when first read.
    pub fn init(&self, device: &Device) -> LlamaForCausalLm {
        let normal = Initializer::Normal {
            mean: 0.0,
            std: INIT_STD,
        };
        let linear = |d_in: usize, d_out: usize, bias: bool| Linear {
            weight: normal.init([d_in, d_out], device),
            bias: bias.then(|| Initializer::Zeros.init([d_out], device)),
        };
        let norm = || RmsNorm::new(self.d_model, self.norm_epsilon, device);
        let (q_width, kv_width) = (
            self.n_heads * self.head_dim,
            self.n_kv_heads * self.head_dim,
        );
        let layers = (0..self.n_layers)
            .map(|_| LlamaDecoderLayer {
                self_attn: LlamaAttention {
                    q_proj: linear(self.d_model, q_width, self.attention_bias),
                    k_proj: linear(self.d_model, kv_width, self.attention_bias),
                    v_proj: linear(self.d_model, kv_width, self.attention_bias),
                    o_proj: linear(q_width, self.d_model, self.attention_bias),
                    n_heads: self.n_heads,
                    n_kv_heads: self.n_kv_heads,
                    head_dim: self.head_dim,
                },
                mlp: LlamaMlp {
                    gate_proj: linear(self.d_model, self.d_ff, self.mlp_bias),
                    up_proj: linear(self.d_model, self.d_ff, self.mlp_bias),
                    down_proj: linear(self.d_ff, self.d_model, self.mlp_bias),
                },
                input_layernorm: norm(),
                post_attention_layernorm: norm(),
            })
            .collect();
        let embed_tokens: Embedding = EmbeddingConfig::new(self.vocab_size, self.d_model)
            .with_initializer(normal.clone())
            .init(device);
        LlamaForCausalLm {
            model: LlamaModel {
                embed_tokens,
                layers,
                norm: norm(),
            },
            lm_head: (!self.tie_word_embeddings)
                .then(|| linear(self.d_model, self.vocab_size, false)),
            config: self.clone(),
        }
    }
}

/// An output layer of its own in place of one tied to `embedding`, that trains if the embedding does.
pub(super) fn untied(embedding: &Embedding) -> Linear {
    // A plain device cannot hold the requirement; the configured one comes back with `train`.
    let trains = match embedding.weight.lazy_device().is_autodiff() {
        true => embedding.weight.base().is_require_grad(),
        false => Module::train(embedding.weight.clone())
            .base()
            .is_require_grad(),
    };
    let weight = embedding.weight.base().transpose().detach();
    Linear {
        weight: Param::from_tensor(weight).set_require_grad(trains),
        bias: None,
    }
}
