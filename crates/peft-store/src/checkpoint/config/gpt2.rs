//! The config of GPT-2.

use peft_models::{Activation, Gpt2Config};

use super::activation;
use crate::fields::{FieldError, Fields};

/// Read the config of a GPT-2.
pub(super) fn read(fields: &Fields<'_>) -> Result<Gpt2Config, FieldError> {
    fields.must_be_off(&["add_cross_attention"])?;
    let count = |name, other, default| fields.count_if(fields.alias(name, other), default);
    let d_model = count("n_embd", "hidden_size", 768)?;
    Ok(Gpt2Config {
        vocab_size: fields.count_if("vocab_size", 50_257)?,
        d_model,
        d_ff: fields.count_or("n_inner", d_model.saturating_mul(4))?,
        n_layers: fields.layers(fields.alias("n_layer", "num_hidden_layers"), 12)?,
        n_heads: count("n_head", "num_attention_heads", 12)?,
        max_positions: count("n_positions", "max_position_embeddings", 1024)?,
        norm_epsilon: fields.number_or("layer_norm_epsilon", 1e-5)?,
        activation: activation(fields, "activation_function", Activation::GeluTanh)?,
        scale_scores: fields.flag_or("scale_attn_weights", true)?,
        scale_by_layer: fields.flag("scale_attn_by_inverse_layer_idx")?,
        tie_word_embeddings: fields.flag_or("tie_word_embeddings", true)?,
    })
}
