//! Prefixes on encoders: every position sees all of it, and heads read the text.

use burn::tensor::{Device, Tensor, s};
use peft_model::{SequenceClassifier, Transformer};
use peft_models::{
    BertForSequenceClassification, DistilBertForSequenceClassification,
    ModernBertForSequenceClassification, Pooling, RobertaForSequenceClassification, mean_pooled,
};
use peft_prefix::Prefixed;
use peft_tests::tolerance::PATHS;

use super::{N, by_hand, prefix, prefixed};
use crate::fixture::{assert_differs, assert_same};
use crate::models::encoders::{bert, distilbert, modernbert, roberta, spread};
use crate::models::{assert_close, ids, padding};

peft_tests::cases!(
    heads_read_the_text_behind_the_prefix,
    without_one_a_classifier_is_the_same_to_the_bit,
    padded_rows_have_the_logits_of_single_rows,
    every_position_sees_all_of_it,
);

/// One check of a generic function on a classifier of each family, of texts of their first position
/// or of their mean.
macro_rules! on_all {
    ($check:ident, $device:expr) => {
        let device = $device;
        $check(
            spread(BertForSequenceClassification::new(&bert(), 5, device)),
            device,
        );
        $check(
            spread(RobertaForSequenceClassification::new(&roberta(), 5, device)),
            device,
        );
        $check(
            spread(DistilBertForSequenceClassification::new(
                &distilbert(),
                5,
                device,
            )),
            device,
        );
        for pooling in [Pooling::First, Pooling::Mean] {
            let config = peft_models::ModernBertConfig {
                classifier_pooling: pooling,
                ..modernbert()
            };
            $check(
                spread(ModernBertForSequenceClassification::new(&config, 5, device)),
                device,
            );
        }
    };
}

fn heads_read_the_text_behind_the_prefix(device: &Device) {
    fn check<M: SequenceClassifier>(model: M, device: &Device) {
        let model = prefixed(model, device);
        let (ids, padding) = (ids(2, 7, 23, device), padding(&[7, 4], 7, device));
        let seen = Tensor::cat(
            vec![
                padding.clone().narrow(1, 0, N).zeros_like(),
                padding.clone(),
            ],
            1,
        );
        let mut cache = by_hand(model.input.as_ref().expect("a prefix"), 2, device);
        let hidden = model
            .model
            .hidden(ids.clone(), Some(seen), Some(&mut cache));
        assert_eq!(hidden.dims(), [2, 7, 12]);
        let expected = model.model.class_logits(hidden, Some(padding.clone()));
        let found = model.classify(ids.clone(), Some(padding.clone()));
        assert_close(&found, &expected, PATHS);
        assert_differs(&found, &model.model.classify(ids, Some(padding)));
    }
    on_all!(check, device);
}

fn without_one_a_classifier_is_the_same_to_the_bit(device: &Device) {
    fn check<M: SequenceClassifier>(model: M, device: &Device) {
        let bare = Prefixed::new(model.clone());
        let (ids, padding) = (ids(2, 7, 23, device), padding(&[7, 4], 7, device));
        for segments in [None, Some(padding)] {
            let expected = model.classify(ids.clone(), segments.clone());
            assert_same(&bare.classify(ids.clone(), segments), &expected);
        }
    }
    on_all!(check, device);
}

fn padded_rows_have_the_logits_of_single_rows(device: &Device) {
    fn check<M: SequenceClassifier>(model: M, device: &Device) {
        let model = prefixed(model, device);
        let ids = ids(3, 7, 23, device);
        let lengths = [4, 7, 1];
        let batch = model.classify(ids.clone(), Some(padding(&lengths, 7, device)));
        let hidden = model.hidden(ids.clone(), Some(padding(&lengths, 7, device)), None);
        for (row, length) in lengths.into_iter().enumerate() {
            let alone = ids.clone().slice(s![row..row + 1, 0..length]);
            let found = batch.clone().slice(s![row..row + 1]);
            assert_close(&found, &model.classify(alone.clone(), None), PATHS);
            let found = hidden.clone().slice(s![row..row + 1, 0..length]);
            let alone = model.hidden(alone, None, None);
            assert_close(&mean_pooled(found, None), &mean_pooled(alone, None), PATHS);
        }
    }
    on_all!(check, device);
    peft_tests::Invariant::Padding.verified("prefix tuning", device);
}

/// Also those of a text longer than ModernBERT's window.
fn every_position_sees_all_of_it(device: &Device) {
    fn check<M: Transformer>(model: M, device: &Device) {
        let model = prefixed(model, device);
        let shape = model.input.as_ref().expect("a prefix").shape();
        let ids = ids(1, 9, 23, device);
        let states = model.hidden(ids.clone(), None, None);
        for place in 0..N {
            let mut changed = prefix(shape, device);
            changed.embedding = changed.embedding.map(|flat| {
                let one = s![place..place + 1];
                let other = flat.clone().slice(one) * -0.7 + 0.4;
                flat.slice_assign(one, other)
            });
            let changed = Prefixed {
                model: model.model.clone(),
                input: Some(changed),
            };
            let apart = (changed.hidden(ids.clone(), None, None) - states.clone()).abs();
            let apart: Vec<f32> = apart.max_dim(2).into_data().iter().collect();
            assert!(apart.iter().all(|apart| *apart > 30.0 * PATHS), "{apart:?}");
        }
    }
    // One layer: what is seen is seen directly.
    let (mut b, mut r, mut d, mut m) = (bert(), roberta(), distilbert(), modernbert());
    (b.n_layers, r.n_layers, d.n_layers) = (1, 1, 1);
    m.windowed = vec![true];
    m.reach = 1;
    check(spread(b.init(device)), device);
    check(spread(r.init(device)), device);
    check(spread(d.init(device)), device);
    check(spread(m.init(device)), device);
}
