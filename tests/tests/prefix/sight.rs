//! What a prefix is to a model: keys and values in its cache, which every position sees.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, Tensor, s};
use peft_model::Transformer;
use peft_models::{CausalLm, DecoderConfig};
use peft_prefix::Prefixed;
use peft_tests::tolerance::PATHS;

use super::{N, by_hand, decoder, prefix, prefixed};
use crate::fixture::{assert_differs, assert_same};
use crate::models::{assert_close, ids, padding, spread, tiny};

peft_tests::cases!(
    it_is_what_is_cached,
    it_fills_an_empty_cache_once,
    without_one_the_model_is_the_same_to_the_bit,
    padding_beside_a_row_changes_nothing,
    rows_are_independent,
    later_tokens_change_nothing,
    every_position_sees_all_of_it,
    beyond_the_window_it_is_seen_through_others,
    a_model_in_half_precision_takes_one,
);

fn it_is_what_is_cached(device: &Device) {
    let model = decoder(device);
    let (ids, padding) = (ids(2, 7, 23, device), padding(&[7, 4], 7, device));
    let own = model.input.as_ref().expect("a prefix");
    let mut cache = by_hand(own, 2, device);
    let expected = model.model.hidden(ids.clone(), None, Some(&mut cache));
    assert_close(&model.hidden(ids.clone(), None, None), &expected, PATHS);
    assert_differs(&model.model.hidden(ids.clone(), None, None), &expected);
    // With segments: the prefix belongs to every sequence.
    let mut cache = by_hand(own, 2, device);
    let seen = Tensor::cat(
        vec![
            padding.clone().narrow(1, 0, N).zeros_like(),
            padding.clone(),
        ],
        1,
    );
    let expected = model
        .model
        .hidden(ids.clone(), Some(seen), Some(&mut cache));
    let found = model.hidden(ids, Some(padding), None);
    let shown = |x: Tensor<3>| x.slice(s![1..2, 0..4]);
    assert_close(&shown(found), &shown(expected), PATHS);
    peft_tests::Invariant::Acts.verified("prefix tuning", device);
}

fn it_fills_an_empty_cache_once(device: &Device) {
    let model = decoder(device);
    let ids = ids(2, 7, 23, device);
    let whole = model.hidden(ids.clone(), None, None);
    let mut cache = model.new_cache();
    let mut parts = Vec::new();
    for run in [0..4, 4..5, 5..7] {
        parts.push(model.hidden(
            ids.clone().slice(s![.., run.clone()]),
            None,
            Some(&mut cache),
        ));
        assert_eq!(cache.len(), N + run.end);
    }
    assert_close(&Tensor::cat(parts, 1), &whole, PATHS);
    let expected = by_hand(model.input.as_ref().expect("a prefix"), 2, device);
    for layer in 0..2 {
        let (keys, values) = cache.layer(layer).expect("it was read").clone();
        assert_eq!([keys.dims(), values.dims()], [[2, 2, N + 7, 6]; 2]);
        let (first_keys, first_values) = expected.layer(layer).expect("it is there");
        assert_same(&keys.narrow(2, 0, N), &first_keys);
        assert_same(&values.narrow(2, 0, N), &first_values);
    }
    assert_eq!(model.max_positions(), model.model.max_positions() - N);
}

fn without_one_the_model_is_the_same_to_the_bit(device: &Device) {
    let model = spread(&tiny(), device);
    let bare = Prefixed::new(model.clone());
    let (ids, padding) = (ids(2, 7, 23, device), padding(&[7, 4], 7, device));
    let [mut one, mut other] = [model.new_cache(), bare.new_cache()];
    for segments in [None, Some(padding)] {
        let expected = model.hidden(ids.clone(), segments.clone(), None);
        assert_same(&bare.hidden(ids.clone(), segments, None), &expected);
        assert_same(&bare.logits(expected.clone()), &model.logits(expected));
    }
    for run in [0..4, 4..7] {
        let part = ids.clone().slice(s![.., run]);
        let expected = model.hidden(part.clone(), None, Some(&mut one));
        assert_same(&bare.hidden(part, None, Some(&mut other)), &expected);
    }
    assert_eq!((one.len(), other.len()), (7, 7));
    assert_eq!(bare.max_positions(), model.max_positions());
    peft_tests::Invariant::Detached.verified("prefix tuning", device);
}

fn padding_beside_a_row_changes_nothing(device: &Device) {
    let model = decoder(device);
    let ids = ids(3, 7, 23, device);
    let lengths = [4, 7, 1];
    let batch = model.hidden(ids.clone(), Some(padding(&lengths, 7, device)), None);
    for (row, length) in lengths.into_iter().enumerate() {
        let alone = ids.clone().slice(s![row..row + 1, 0..length]);
        let found = batch.clone().slice(s![row..row + 1, 0..length]);
        assert_close(&found, &model.hidden(alone, None, None), PATHS);
    }
}

fn rows_are_independent(device: &Device) {
    let model = decoder(device);
    let ids = ids(3, 7, 23, device);
    let batch = model.hidden(ids.clone(), None, None);
    for row in 0..3 {
        let one = s![row..row + 1];
        let alone = model.hidden(ids.clone().slice(one), None, None);
        assert_close(&batch.clone().slice(one), &alone, PATHS);
    }
    peft_tests::Invariant::Rows.verified("prefix tuning", device);
}

fn later_tokens_change_nothing(device: &Device) {
    let model = decoder(device);
    let whole = ids(2, 7, 23, device);
    let states = model.hidden(whole.clone(), None, None);
    for changed in 0..7 {
        let one = s![.., changed..changed + 1];
        let other = (whole.clone().slice(one) + 1).remainder_scalar(23);
        let found = model.hidden(whole.clone().slice_assign(one, other), None, None);
        let apart = (found - states.clone()).abs().max_dim(2);
        let apart: Vec<f32> = apart.slice(s![0..1]).into_data().iter().collect();
        for (position, apart) in apart.into_iter().enumerate() {
            assert_eq!(
                apart > 30.0 * PATHS,
                position >= changed,
                "{position}: {apart}"
            );
            assert!(position >= changed || apart == 0.0);
        }
    }
}

/// How far each position's state moves when one position of the prefix does, `[N][positions]`.
fn moved(config: &DecoderConfig, positions: usize, device: &Device) -> Vec<Vec<f32>> {
    let model = prefixed(spread(config, device), device);
    let ids = ids(1, positions, 23, device);
    let states = model.hidden(ids.clone(), None, None);
    (0..N)
        .map(|place| {
            let mut changed = prefix(model.input.as_ref().expect("a prefix").shape(), device);
            changed.embedding = changed.embedding.map(|flat| {
                let one = s![place..place + 1];
                let other = flat.clone().slice(one) * -0.7 + 0.4;
                flat.slice_assign(one, other)
            });
            let changed = Prefixed {
                model: model.model.clone(),
                input: Some(changed),
            };
            let apart = changed.hidden(ids.clone(), None, None) - states.clone();
            apart.abs().max_dim(2).into_data().iter().collect()
        })
        .collect()
}

fn every_position_sees_all_of_it(device: &Device) {
    let one_layer = DecoderConfig {
        n_layers: 1,
        ..tiny()
    };
    for (place, apart) in moved(&one_layer, 7, device).into_iter().enumerate() {
        assert_eq!(apart.len(), 7);
        assert!(
            apart.iter().all(|apart| *apart > 30.0 * PATHS),
            "{place}: {apart:?}"
        );
    }
}

/// A window of four counts the prefix, as in transformers: place `p` of three is `3 - p + i` away
/// from position `i`.
fn beyond_the_window_it_is_seen_through_others(device: &Device) {
    let windowed = |n_layers| DecoderConfig {
        n_layers,
        windows: vec![Some(4); n_layers],
        ..tiny()
    };
    for (n_layers, reach) in [(1, 3), (2, 6)] {
        for (place, apart) in moved(&windowed(n_layers), 9, device).iter().enumerate() {
            for (position, apart) in apart.iter().enumerate() {
                let sees = N - place + position <= reach;
                assert_eq!(
                    *apart > 3.0 * PATHS,
                    sees,
                    "{n_layers} {place} {position}: {apart}"
                );
                assert!(sees || *apart == 0.0);
            }
        }
    }
}

struct Half;

impl ModuleMapper for Half {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| tensor.cast(DType::BF16))
    }
}

fn a_model_in_half_precision_takes_one(device: &Device) {
    if !device.supports_dtype(DType::BF16) {
        println!("this backend has no bf16");
        return;
    }
    let model = decoder(device);
    let half = Prefixed {
        model: model.model.clone().map(&mut Half),
        input: model.input.clone(),
    };
    let ids = ids(2, 7, 23, device);
    let mut cache = half.new_cache();
    let found = half.hidden(ids.clone(), None, Some(&mut cache));
    let (keys, _) = cache.layer(1).expect("it was read");
    assert_eq!((found.dtype(), keys.dtype()), (DType::F32, DType::F32)); // weights alone are bf16
    let stored = half.input.as_ref().expect("a prefix").embedding.val();
    assert_eq!(stored.dtype(), DType::F32);
    let expected = model.hidden(ids, None, None);
    let largest = expected.clone().abs().max().into_scalar::<f32>();
    let apart = (found - expected).abs().max();
    let apart = apart.into_scalar::<f32>();
    assert!(apart < 0.05 * largest, "{apart} of {largest}");
    peft_tests::Invariant::HalfPrecision.verified("prefix tuning", device);
}
