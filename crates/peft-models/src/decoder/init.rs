//! Models with fresh weights.

use burn::module::{Module, Param};
use burn::nn::{Embedding, Linear};
use burn::tensor::Device;
use peft_core::FrozenWeight;
use peft_model::Scores;

use super::attention::{AttentionShape, FusedAttention, SplitAttention};
use super::mlp::{FusedMlp, SplitMlp};
use super::{
    DecoderAttention, DecoderConfig, DecoderForCausalLm, DecoderLayer, DecoderMlp, DecoderModel,
    ProjectionBias,
};
use crate::RmsNorm;
use crate::fresh::{self, INIT_STD};

/// A fresh layer of this many inputs and outputs.
fn linear(d_in: usize, d_out: usize, bias: bool, device: &Device) -> Linear {
    fresh::linear([d_in, d_out], bias, INIT_STD, device)
}

impl DecoderConfig {
    /// A model with fresh weights, `N(0, 0.02)`, biases zero and norms one. Parameters are
    /// initialised when first read.
    pub fn init(&self, device: &Device) -> DecoderForCausalLm {
        let norm = || self.norm(self.d_model, device);
        let layers = (0..self.n_layers)
            .map(|_| DecoderLayer {
                self_attn: self.attention(device),
                mlp: self.mlp(device),
                input_layernorm: norm(),
                post_attention_layernorm: norm(),
                pre_feedforward_layernorm: self.sandwich_norms.then(norm),
                post_feedforward_layernorm: self.sandwich_norms.then(norm),
            })
            .collect();
        DecoderForCausalLm {
            model: DecoderModel {
                embed_tokens: fresh::embedding(self.vocab_size, self.d_model, device),
                layers,
                norm: norm(),
            },
            lm_head: (!self.tie_word_embeddings)
                .then(|| linear(self.d_model, self.vocab_size, false, device)),
            config: self.clone(),
        }
    }

    fn norm(&self, width: usize, device: &Device) -> RmsNorm {
        match self.norms_from_one {
            true => RmsNorm::from_one(width, self.norm_epsilon, device),
            false => RmsNorm::new(width, self.norm_epsilon, device),
        }
    }

    fn attention(&self, device: &Device) -> DecoderAttention {
        let d = self.d_model;
        let (q_width, kv_width) = (
            self.n_heads * self.head_dim,
            self.n_kv_heads * self.head_dim,
        );
        let (inputs, output) = match self.attention_bias {
            ProjectionBias::None => (false, false),
            ProjectionBias::Inputs => (true, false),
            ProjectionBias::All => (true, true),
        };
        let shape = AttentionShape {
            n_heads: self.n_heads,
            n_kv_heads: self.n_kv_heads,
            head_dim: self.head_dim,
            scores: Scores {
                softcap: self.attention_softcap,
                ..Scores::new(
                    self.query_scale
                        .unwrap_or(1.0 / (self.head_dim as f64).sqrt()),
                )
            },
        };
        let o_proj = linear(q_width, d, output, device);
        let head_norm = || self.norm(self.head_dim, device);
        match self.fused_projections {
            true => DecoderAttention::Fused(FusedAttention {
                qkv_proj: linear(d, q_width + 2 * kv_width, inputs, device),
                o_proj,
                shape,
            }),
            false => DecoderAttention::Split(SplitAttention {
                q_proj: linear(d, q_width, inputs, device),
                k_proj: linear(d, kv_width, inputs, device),
                v_proj: linear(d, kv_width, inputs, device),
                o_proj,
                q_norm: self.qk_norm.then(head_norm),
                k_norm: self.qk_norm.then(head_norm),
                shape,
            }),
        }
    }

    fn mlp(&self, device: &Device) -> DecoderMlp {
        let (d, d_ff, bias) = (self.d_model, self.d_ff, self.mlp_bias);
        let down_proj = linear(d_ff, d, bias, device);
        match self.fused_projections {
            true => DecoderMlp::Fused(FusedMlp {
                gate_up_proj: linear(d, 2 * d_ff, bias, device),
                down_proj,
                activation: self.activation,
            }),
            false => DecoderMlp::Split(SplitMlp {
                gate_proj: linear(d, d_ff, bias, device),
                up_proj: linear(d, d_ff, bias, device),
                down_proj,
                activation: self.activation,
            }),
        }
    }
}

/// An output layer of its own in place of one tied to `embedding`, that trains if the embedding
/// does.
pub(crate) fn untied(embedding: &Embedding) -> Linear {
    // A plain device cannot hold the requirement; the configured one comes back with `train`.
    let trains = match embedding.weight.lazy_device().is_autodiff() {
        true => embedding.weight.base().is_require_grad(),
        false => Module::train(embedding.weight.clone())
            .base()
            .is_require_grad(),
    };
    // A layer of its own is dense, whatever the embedding is stored as.
    let weight = FrozenWeight::of(&embedding.weight).dense();
    let weight = weight.transpose().detach();
    Linear {
        weight: Param::from_tensor(weight).set_require_grad(trains),
        bias: None,
    }
}
