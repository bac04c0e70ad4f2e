//! The place of every parameter of every family, by the beginnings of their paths; and the roles of
//! a user's own model.

use std::collections::BTreeSet;

use burn::module::Module;
use burn::tensor::Device;
use peft_core::parameters;
use peft_layerwise::{BlockPlace, Depth, Role};
use peft_models::{
    BertConfig, BertForTokenClassification, BertModel, DistilBertForSequenceClassification,
    Gpt2Config, ModernBertForSequenceClassification, RobertaForSequenceClassification,
};

use super::{bert, decoder, encoder};
use crate::fixture::Net;
use crate::models::encoders::{distilbert, modernbert};
use crate::models::gpt2;

peft_tests::cases!(
    every_family_has_its_places,
    a_model_of_ones_own_has_places_and_roles,
);

/// Every parameter lies at the place of the only beginning that its path has, and every beginning
/// is of some.
fn check<M: Module>(model: &M, expected: &[(&str, BlockPlace)]) {
    let depth = Depth::of(model).expect("it has blocks");
    let mut used = BTreeSet::new();
    for parameter in parameters(model) {
        let path = parameter.path;
        let starts = expected.iter().filter(|(start, _)| path.starts_with(start));
        let starts: Vec<_> = starts.collect();
        assert_eq!(starts.len(), 1, "{path}");
        assert_eq!(depth.place(&path), Some(starts[0].1), "{path}");
        used.insert(starts[0].0);
    }
    assert_eq!(used.len(), expected.len(), "{used:?}");
    assert_eq!(depth.iter().count(), parameters(model).len());
    assert!(depth.place("no.such").is_none());
}

fn every_family_has_its_places(device: &Device) {
    use BlockPlace::{Above, Below, Block};
    let llama = [
        ("model.embed_tokens.", Below),
        ("model.layers.0.", Block(0)),
        ("model.layers.1.", Block(1)),
        ("model.layers.2.", Block(2)),
        ("model.norm.", Above),
        ("lm_head.", Above),
    ];
    check(&decoder(false, device), &llama);
    check(&decoder(true, device), &llama[..5]);
    let mut gpt2 = Gpt2Config {
        tie_word_embeddings: false,
        ..gpt2()
    };
    let expected = [
        ("transformer.wte.", Below),
        ("transformer.wpe.", Below),
        ("transformer.h.0.", Block(0)),
        ("transformer.h.1.", Block(1)),
        ("transformer.ln_f.", Above),
        ("lm_head.", Above),
    ];
    check(&gpt2.init(device), &expected);
    gpt2.tie_word_embeddings = true;
    check(&gpt2.init(device), &expected[..5]);

    let expected = [
        ("bert.embeddings.", Below),
        ("bert.encoder.layer.0.", Block(0)),
        ("bert.encoder.layer.1.", Block(1)),
        ("bert.encoder.layer.2.", Block(2)),
        ("classifier.", Above),
        ("bert.pooler.", Above),
    ];
    check(&encoder(device), &expected);
    check(
        &BertForTokenClassification::new(&bert(), 4, device),
        &expected[..5],
    );
    let bare: BertModel = bert().init(device);
    let expected = [
        ("embeddings.", Below),
        ("encoder.layer.0.", Block(0)),
        ("encoder.layer.1.", Block(1)),
        ("encoder.layer.2.", Block(2)),
        ("pooler.", Above),
    ];
    check(&bare, &expected);
    let roberta = BertConfig {
        position_offset: 2,
        n_token_types: 1,
        n_layers: 1,
        pooler: false,
        ..bert()
    };
    let expected = [
        ("roberta.embeddings.", Below),
        ("roberta.encoder.layer.0.", Block(0)),
        ("classifier.", Above),
    ];
    check(
        &RobertaForSequenceClassification::new(&roberta, 2, device),
        &expected,
    );
    let expected = [
        ("distilbert.embeddings.", Below),
        ("distilbert.transformer.layer.0.", Block(0)),
        ("distilbert.transformer.layer.1.", Block(1)),
        ("pre_classifier.", Above),
        ("classifier.", Above),
    ];
    check(
        &DistilBertForSequenceClassification::new(&distilbert(), 2, device),
        &expected,
    );
    let expected = [
        ("model.embeddings.", Below),
        ("model.layers.0.", Block(0)),
        ("model.layers.1.", Block(1)),
        ("model.final_norm.", Above),
        ("head.", Above),
        ("classifier.", Above),
    ];
    check(
        &ModernBertForSequenceClassification::new(&modernbert(), 2, device),
        &expected,
    );
}

/// Burn's own norm names its parameters in another way; the model has no names of Hugging Face's.
fn a_model_of_ones_own_has_places_and_roles(device: &Device) {
    use BlockPlace::{Above, Below, Block};
    let net = Net::new(device);
    let expected = [
        ("embed.", Below),
        ("layers.0.", Block(0)),
        ("layers.1.", Block(1)),
        ("layers.2.", Block(2)),
        ("norm.", Above),
        ("head.", Above),
    ];
    check(&net, &expected);
    let of = |role: Role| -> Vec<String> {
        let parameters = parameters(&net).into_iter();
        let found = parameters.filter(|parameter| Role::of(parameter) == role);
        found.map(|parameter| parameter.path).collect()
    };
    assert_eq!(of(Role::NormWeight), ["norm.gamma"]);
    assert_eq!(of(Role::NormBias), ["norm.beta"]);
    let biases = (0..3)
        .flat_map(|i| ["q_proj", "down_proj"].map(|layer| format!("layers.{i}.{layer}.bias")));
    let biases: Vec<String> = biases.chain(["head.bias".to_owned()]).collect();
    assert_eq!(of(Role::Bias), biases);
}
