//! Encoders and their heads.

mod golden;
mod loading;
mod minilm;
mod paths;
mod store;
mod switches;

use peft_models::{
    Activation, BertConfig, DistilBertConfig, ModernBertConfig, Pooling, RopeConfig,
};

pub(crate) fn bert() -> BertConfig {
    BertConfig {
        vocab_size: 23,
        d_model: 12,
        d_ff: 20,
        n_layers: 2,
        n_heads: 3,
        max_positions: 16,
        position_offset: 0,
        n_token_types: 2,
        norm_epsilon: 1e-12,
        activation: Activation::Gelu,
        pooler: true,
        hidden_dropout: 0.0,
        attention_dropout: 0.0,
        classifier_dropout: 0.0,
    }
}

pub(crate) fn roberta() -> BertConfig {
    BertConfig {
        // Behind a padding token that is none of the vocabulary's: the model does not count it, and
        // the checks are of tokens that it counts. The goldens have some.
        position_offset: 24,
        n_token_types: 1,
        norm_epsilon: 1e-5,
        pooler: false,
        ..bert()
    }
}

pub(crate) fn distilbert() -> DistilBertConfig {
    DistilBertConfig {
        vocab_size: 23,
        d_model: 12,
        d_ff: 20,
        n_layers: 2,
        n_heads: 3,
        max_positions: 16,
        activation: Activation::Relu,
        hidden_dropout: 0.0,
        attention_dropout: 0.0,
        classifier_dropout: 0.0,
    }
}

pub(crate) fn modernbert() -> ModernBertConfig {
    ModernBertConfig {
        vocab_size: 23,
        d_model: 12,
        d_ff: 20,
        n_heads: 3,
        max_positions: 16,
        windowed: vec![false, true],
        reach: 2,
        global_rope: RopeConfig::new(1000.0),
        local_rope: RopeConfig::new(20.0),
        norm_epsilon: 1e-5,
        norm_bias: true,
        attention_bias: true,
        mlp_bias: true,
        activation: Activation::GeluTanh,
        classifier_pooling: Pooling::Mean,
        classifier_bias: true,
        classifier_activation: Activation::Silu,
        embedding_dropout: 0.0,
        attention_dropout: 0.0,
        mlp_dropout: 0.0,
        classifier_dropout: 0.0,
    }
}

/// `model` with values that matter in every parameter; fresh ones are too small, and biases zero.
pub(crate) use peft_conformance::scattered as spread;
