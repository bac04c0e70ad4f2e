//! What is of encoders alone, by a second way to compute the same, and the paths of adapters.

use burn::tensor::{Device, Tensor, s};
use peft_core::{Placed, Targets};
use peft_lora::LoraConfig;
use peft_models::{
    BertForSequenceClassification, BertForTokenClassification, DistilBertForSequenceClassification,
    DistilBertForTokenClassification, ModernBertConfig, ModernBertForSequenceClassification,
    ModernBertForTokenClassification, RobertaForSequenceClassification,
    RobertaForTokenClassification, SequenceClassifier, TokenClassifier, Transformer, mean_pooled,
};
use peft_tests::tolerance::PATHS;

use super::{bert, distilbert, modernbert, roberta, spread};
use crate::fixture::filled_adapters;
use crate::models::{assert_close, ids, padding};

peft_tests::cases!(
    padded_rows_have_the_logits_of_single_rows,
    every_position_sees_every_other,
    a_prefix_is_seen_beyond_the_window,
    a_text_of_padding_alone_is_zero,
    adapters_attach_by_the_names_of_checkpoints,
);

/// One check of a generic function on every encoder by itself.
macro_rules! on_all {
    ($check:ident, $device:expr) => {
        $check(spread(bert().init($device)), $device);
        $check(spread(roberta().init($device)), $device);
        $check(spread(distilbert().init($device)), $device);
        $check(spread(modernbert().init($device)), $device);
    };
}

fn padded_rows_have_the_logits_of_single_rows(device: &Device) {
    fn classes<M: SequenceClassifier>(model: M, device: &Device) {
        let model = spread(model);
        let (ids, padding) = (ids(2, 7, 23, device), padding(&[7, 4], 7, device));
        let hidden = model.hidden(ids.clone(), Some(padding.clone()), None);
        let batch = model.class_logits(hidden, Some(padding));
        assert_eq!(batch.dims(), [2, model.n_labels()]);
        let alone = model.hidden(ids.slice(s![1..2, 0..4]), None, None);
        let found = batch.slice(s![1..2, ..]);
        assert_close(&found, &model.class_logits(alone, None), PATHS);
    }
    fn tokens<M: TokenClassifier>(model: M, device: &Device) {
        let model = spread(model);
        let (ids, padding) = (ids(2, 7, 23, device), padding(&[7, 4], 7, device));
        let hidden = model.hidden(ids.clone(), Some(padding), None);
        let batch = model.token_logits(hidden);
        assert_eq!(batch.dims(), [2, 7, model.n_labels()]);
        let alone = model.hidden(ids.slice(s![1..2, 0..4]), None, None);
        let found = batch.slice(s![1..2, 0..4, ..]);
        assert_close(&found, &model.token_logits(alone), PATHS);
    }
    let (b, r, d, m) = (bert(), roberta(), distilbert(), modernbert());
    classes(BertForSequenceClassification::new(&b, 5, device), device);
    classes(RobertaForSequenceClassification::new(&r, 5, device), device);
    classes(
        DistilBertForSequenceClassification::new(&d, 5, device),
        device,
    );
    classes(
        ModernBertForSequenceClassification::new(&m, 5, device),
        device,
    );
    tokens(BertForTokenClassification::new(&b, 5, device), device);
    tokens(RobertaForTokenClassification::new(&r, 5, device), device);
    tokens(DistilBertForTokenClassification::new(&d, 5, device), device);
    tokens(ModernBertForTokenClassification::new(&m, 5, device), device);
}

fn every_position_sees_every_other(device: &Device) {
    fn check<M: Transformer>(model: M, device: &Device) {
        let whole = ids(1, 7, 23, device);
        let states = model.hidden(whole.clone(), None, None);
        for changed in 0..7 {
            let one = s![.., changed..changed + 1];
            let other = (whole.clone().slice(one) + 1).remainder_scalar(23);
            let ids = whole.clone().slice_assign(one, other);
            let apart = (model.hidden(ids, None, None) - states.clone()).abs();
            let apart: Vec<f32> = apart.max_dim(2).into_data().iter().collect();
            assert!(apart.iter().all(|apart| *apart > 30.0 * PATHS), "{apart:?}");
        }
    }
    on_all!(check, device);
}

/// The text fits in the window, the prefix does not.
fn a_prefix_is_seen_beyond_the_window(device: &Device) {
    let with_reach = |reach| {
        let config = ModernBertConfig {
            windowed: vec![true],
            reach,
            ..modernbert()
        };
        spread(config.init(device))
    };
    let ids = ids(2, 9, 23, device);
    let text = ids.clone().slice(s![.., 6..9]);
    let mut cache = with_reach(2).new_cache();
    with_reach(9).hidden(ids.clone().slice(s![.., 0..6]), None, Some(&mut cache));
    let found = with_reach(2).hidden(text, None, Some(&mut cache));
    let whole = with_reach(9).hidden(ids.clone(), None, None);
    assert_close(&found, &whole.slice(s![.., 6..9, ..]), PATHS);
    // And within a text the window holds.
    let narrow = with_reach(2).hidden(ids, None, None);
    let apart = (narrow.slice(s![.., 6..9, ..]) - found).abs().max();
    assert!(apart.into_scalar::<f32>() > 1e-3);
}

fn a_text_of_padding_alone_is_zero(device: &Device) {
    let hidden = Tensor::<3>::ones([2, 3, 4], device);
    let pooled = mean_pooled(hidden, Some(padding(&[0, 2], 3, device)));
    let expected = Tensor::from_data([[0.0; 4], [1.0; 4]], device);
    assert_close(&pooled, &expected, 0.0);
    // What is cached before a text is no part of it.
    let hidden = Tensor::<3>::from_data([[[1.0, -2.0], [3.0, 8.0], [5.0, 7.0]]], device);
    let segments = Tensor::from_data([[0, 0, 0, 0, 1]], device);
    let pooled = mean_pooled(hidden, Some(segments));
    assert_close(&pooled, &Tensor::from_data([[2.0, 3.0]], device), 0.0);
}

fn adapters_attach_by_the_names_of_checkpoints(device: &Device) {
    fn check<M: Transformer>(model: M, targets: &[&str], expected: &[&str], device: &Device) {
        let ids = ids(2, 5, 23, device);
        let plain = model.hidden(ids.clone(), None, None);
        let mut adapted = model.clone();
        let report = LoraConfig::new(2, 6.0)
            .with_targets(Targets::suffixes(targets.iter().copied()))
            .attach(&mut adapted, "default")
            .expect("they are there");
        let paths: Vec<&str> = report
            .layers
            .iter()
            .map(|layer| layer.path.as_str())
            .collect();
        assert_eq!(paths, expected);
        let nudged = filled_adapters(adapted);
        let factored = nudged.hidden(ids.clone(), None, None);
        let merged = nudged.materialize().hidden(ids, None, None);
        assert_close(&factored, &merged, PATHS);
        let apart = (factored - plain).abs().max();
        assert!(apart.into_scalar::<f32>() > 1e-3);
    }
    let mut one = bert();
    one.n_layers = 1;
    check(
        spread(one.init(device)),
        &["attention.self.query", "output.dense", "word_embeddings"],
        &[
            "embeddings.word_embeddings",
            "encoder.layer.0.attention.self.query",
            "encoder.layer.0.attention.output.dense",
            "encoder.layer.0.output.dense",
        ],
        device,
    );
    let mut one = distilbert();
    one.n_layers = 1;
    check(
        spread(one.init(device)),
        &["q_lin", "lin2"],
        &[
            "transformer.layer.0.attention.q_lin",
            "transformer.layer.0.ffn.lin2",
        ],
        device,
    );
    check(
        spread(modernbert().init(device)),
        &["Wqkv"],
        &["layers.0.attn.Wqkv", "layers.1.attn.Wqkv"],
        device,
    );
}
