//! The generic suite of models, run over the families of this workspace.

use burn::tensor::Device;
use peft_conformance::{Classes, Logits, ModelFixture, ModelInvariant, States, Tags, verified};
use peft_models::{
    Activation, DecoderConfig, DistilBertConfig, EncoderConfig, LanguageModel, ModernBertConfig,
    Pooling, ProjectionBias, RopeConfig, RopeScaling, TextClassifier, TextEncoder, TokenTagger,
};

use crate::models::encoders::{bert, distilbert, modernbert, roberta};
use crate::models::{gpt2, tiny};

/// A model of a family with a head of this kind.
macro_rules! fixtures {
    ($($(#[$doc:meta])* $suite:ident = $fixture:ident($name:literal, $model:ty, $head:ty): $make:expr;)+) => {$(
        $(#[$doc])*
        struct $fixture;

        impl ModelFixture for $fixture {
            type Model = $model;
            type Head = $head;
            const NAME: &'static str = $name;

            fn model(device: &Device) -> $model {
                let make: fn(&Device) -> $model = $make;
                make(device)
            }
        }

        mod $suite {
            peft_conformance::model_suite!(super::$fixture);
        }
    )+};
}

fixtures! {
    /// Grouped queries, biases everywhere, heads that are wider than `d_model / n_heads`.
    llama = Llama("llama", LanguageModel, Logits): |device| LanguageModel::Decoder(tiny().init(device));
    /// Norms on heads, and a window in one of the blocks.
    qwen3 = Qwen3("qwen3", LanguageModel, Logits): |device| {
        let config = DecoderConfig {
            windows: vec![Some(4), None],
            qk_norm: true,
            attention_bias: ProjectionBias::Inputs,
            mlp_bias: false,
            ..tiny()
        };
        LanguageModel::Decoder(config.init(device))
    };
    /// Fused projections; a rotation of a part of the features, which is another one beyond 12
    /// positions.
    phi3 = Phi3("phi3", LanguageModel, Logits): |device| {
        let config = DecoderConfig {
            fused_projections: true,
            attention_bias: ProjectionBias::None,
            mlp_bias: false,
            head_dim: 8,
            rope: RopeConfig {
                fraction: 0.5,
                ..RopeConfig::new(100.0).with_scaling(RopeScaling::Long {
                    short: vec![1.0, 1.3],
                    long: vec![2.0, 5.0],
                    attention_factor: 1.2,
                    original_max_positions: 12,
                })
            },
            ..tiny()
        };
        LanguageModel::Decoder(config.init(device))
    };
    /// Windows, soft caps, norms around each half of a block, scaled embeddings that are the output
    /// layer too.
    gemma2 = Gemma2("gemma2", LanguageModel, Logits): |device| {
        let config = DecoderConfig {
            windows: vec![Some(4), None],
            window_rope: Some(RopeConfig::new(20.0)),
            activation: Activation::GeluTanh,
            sandwich_norms: true,
            norms_from_one: true,
            embedding_scale: Some(12f64.sqrt()),
            query_scale: Some(0.3),
            attention_softcap: Some(2.0),
            logit_softcap: Some(5.0),
            tie_word_embeddings: true,
            attention_bias: ProjectionBias::None,
            mlp_bias: false,
            ..tiny()
        };
        LanguageModel::Decoder(config.init(device))
    };
    /// Learned positions, layer norms, one projection for queries, keys and values.
    gpt2 = Gpt2("gpt2", LanguageModel, Logits): |device| LanguageModel::Gpt2(gpt2().init(device));
    /// With a pooling layer and a head on the first position.
    bert_classes = BertClasses("bert", TextClassifier, Classes): |device| EncoderConfig::Bert(bert()).classifier(5, device);
    /// Without a head nothing is above the blocks.
    bert_states = BertStates("bert", TextEncoder, States): |device| EncoderConfig::Bert(bert()).encoder(false, device);
    /// Positions that count from the third row of their table.
    roberta_tags = RobertaTags("roberta", TokenTagger, Tags): |device| EncoderConfig::Roberta(roberta()).tagger(5, device);
    /// Three blocks.
    distilbert_classes = DistilBertClasses("distilbert", TextClassifier, Classes): |device| {
        let config = DistilBertConfig { n_layers: 3, ..distilbert() };
        EncoderConfig::DistilBert(config).classifier(5, device)
    };
    /// Fused projections, a window in one of the blocks, a head on the mean of all positions.
    modernbert_classes = ModernBertClasses("modernbert", TextClassifier, Classes): |device| EncoderConfig::ModernBert(modernbert()).classifier(5, device);
    /// A head on the first position behind three blocks, two of which have a window.
    modernbert_first = ModernBertFirst("modernbert", TextClassifier, Classes): |device| {
        let config = ModernBertConfig {
            windowed: vec![false, true, true],
            classifier_pooling: Pooling::First,
            norm_bias: false,
            ..modernbert()
        };
        EncoderConfig::ModernBert(config).classifier(5, device)
    };
}

/// Every invariant is a row of the table, whether anything was verified of it or not.
#[test]
fn every_invariant_has_a_row() {
    let mut rows: Vec<String> = ModelInvariant::ALL.map(ModelInvariant::row).into();
    for row in &rows {
        verified("model-invariants", row, "", "");
    }
    assert!(rows.is_sorted());
    rows.dedup();
    assert_eq!(rows.len(), ModelInvariant::ALL.len());
}
