//! The configs of BERT and of the encoders after it.

use peft_models::{
    Activation, BertConfig, DistilBertConfig, EncoderConfig, ModernBertConfig, Pooling,
};

use super::{activation, rope};
use crate::fields::{FieldError, Fields};

/// The encoders, as `model_type` names them.
pub(super) const FAMILIES: [&str; 5] =
    ["bert", "roberta", "xlm-roberta", "distilbert", "modernbert"];

/// Read the config of one of [`FAMILIES`].
pub(super) fn read(family: &str, fields: &Fields<'_>) -> Result<EncoderConfig, FieldError> {
    fields.must_be_off(&["is_decoder", "add_cross_attention", "sinusoidal_pos_embds"])?;
    if !matches!(
        fields.string("position_embedding_type")?,
        None | Some("absolute")
    ) {
        return Err(fields.unsupported("position_embedding_type", "absolute"));
    }
    Ok(match family {
        "bert" => EncoderConfig::Bert(bert(fields, 30_522, 0)?),
        "distilbert" => EncoderConfig::DistilBert(distilbert(fields)?),
        "modernbert" => EncoderConfig::ModernBert(modernbert(fields)?),
        // Positions begin behind the padding token's.
        family => {
            let vocabulary = match family {
                "roberta" => 50_265,
                _ => 30_522,
            };
            let offset = fields.count_or("pad_token_id", 1)?.saturating_add(1);
            EncoderConfig::Roberta(bert(fields, vocabulary, offset)?)
        }
    })
}

fn bert(
    fields: &Fields<'_>,
    vocabulary: usize,
    position_offset: usize,
) -> Result<BertConfig, FieldError> {
    let hidden_dropout = fields.rate_or("hidden_dropout_prob", 0.1)?;
    let rows = fields.count_or("max_position_embeddings", 512)?;
    Ok(BertConfig {
        vocab_size: fields.count_if("vocab_size", vocabulary)?,
        d_model: fields.count_if("hidden_size", 768)?,
        d_ff: fields.count_if("intermediate_size", 3072)?,
        n_layers: fields.layers("num_hidden_layers", 12)?,
        n_heads: fields.count_if("num_attention_heads", 12)?,
        max_positions: rows.saturating_sub(position_offset),
        position_offset,
        n_token_types: fields.count_or("type_vocab_size", 2)?,
        norm_epsilon: fields.number_or("layer_norm_eps", 1e-12)?,
        activation: activation(fields, "hidden_act", Activation::Gelu)?,
        pooler: true,
        hidden_dropout,
        attention_dropout: fields.rate_or("attention_probs_dropout_prob", 0.1)?,
        classifier_dropout: fields.rate_or("classifier_dropout", hidden_dropout)?,
    })
}

fn distilbert(fields: &Fields<'_>) -> Result<DistilBertConfig, FieldError> {
    let count = |name, other, default| fields.count_if(fields.alias(name, other), default);
    Ok(DistilBertConfig {
        vocab_size: fields.count_if("vocab_size", 30_522)?,
        d_model: count("dim", "hidden_size", 768)?,
        d_ff: fields.count_if("hidden_dim", 3072)?,
        n_layers: fields.layers(fields.alias("n_layers", "num_hidden_layers"), 6)?,
        n_heads: count("n_heads", "num_attention_heads", 12)?,
        max_positions: fields.count_or("max_position_embeddings", 512)?,
        activation: activation(fields, "activation", Activation::Gelu)?,
        hidden_dropout: fields.rate_or("dropout", 0.1)?,
        attention_dropout: fields.rate_or("attention_dropout", 0.1)?,
        classifier_dropout: fields.rate_or("seq_classif_dropout", 0.2)?,
    })
}

fn modernbert(fields: &Fields<'_>) -> Result<ModernBertConfig, FieldError> {
    let n_layers = fields.layers("num_hidden_layers", 22)?;
    let every = fields.count_or("global_attn_every_n_layers", 3)?.max(1);
    let windowed = match fields.layer_types(n_layers)? {
        Some(kinds) => fields.windowed(kinds)?,
        None => (0..n_layers).map(|i| i % every != 0).collect(),
    };
    let (global_rope, local_rope) = rope::modernbert(fields)?;
    Ok(ModernBertConfig {
        vocab_size: fields.count_if("vocab_size", 50_368)?,
        d_model: fields.count_if("hidden_size", 768)?,
        d_ff: fields.count_if("intermediate_size", 1152)?,
        n_heads: fields.count_if("num_attention_heads", 12)?,
        max_positions: fields.count_or("max_position_embeddings", 8192)?,
        windowed,
        // The newer name is the older one's half, and is set over it.
        reach: match fields.optional_count("sliding_window")? {
            Some(reach) => reach,
            None => fields.count_or("local_attention", 128)? / 2,
        },
        global_rope,
        local_rope,
        norm_epsilon: fields.number_or("norm_eps", 1e-5)?,
        norm_bias: fields.flag("norm_bias")?,
        attention_bias: fields.flag("attention_bias")?,
        mlp_bias: fields.flag("mlp_bias")?,
        activation: activation(fields, "hidden_activation", Activation::Gelu)?,
        classifier_pooling: match fields.string("classifier_pooling")? {
            None | Some("cls") => Pooling::First,
            Some("mean") => Pooling::Mean,
            Some(_) => return Err(fields.unsupported("classifier_pooling", "cls, mean")),
        },
        classifier_bias: fields.flag("classifier_bias")?,
        classifier_activation: activation(fields, "classifier_activation", Activation::Gelu)?,
        embedding_dropout: fields.rate_or("embedding_dropout", 0.0)?,
        attention_dropout: fields.rate_or("attention_dropout", 0.0)?,
        mlp_dropout: fields.rate_or("mlp_dropout", 0.0)?,
        classifier_dropout: fields.rate_or("classifier_dropout", 0.0)?,
    })
}
