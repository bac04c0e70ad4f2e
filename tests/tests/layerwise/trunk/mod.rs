//! The cached trunk: the losses and updates of a run without it.

mod cuts;
mod models;
mod refusals;
mod stretches;

use burn::module::Module;
use burn::tensor::Device;
use peft_layerwise::{Head, Strategy, TopLayers};
use peft_model::Transformer;
use peft_models::{
    BertForTokenClassification, ModernBertForSequenceClassification, TokenClassifier,
};
use peft_prefix::{Prefix, PrefixShape, Prefixed};
use peft_ptuning::{Prompted, SoftPrompt};
use peft_train::{
    Example, NextToken, Objective, SequenceClassification, TagExample, TokenClassification,
    TrainConfig, TrainExample, TrunkCache, TrunkReport, pack,
};

use super::{Run, Trail, bert, decoder, encoder, texts};
use crate::fixture::{filled, values};
use crate::models::encoders::modernbert;
use crate::training::{config, examples};

peft_tests::cases!(
    a_decoders_run_is_the_same,
    batches_of_one_shape_give_the_same_bits,
    packed_rows_are_the_same,
    classifiers_of_texts_and_tokens_are_the_same,
    virtual_tokens_are_before_a_trunk,
);

const ALL: TrunkCache = TrunkCache {
    memory: u64::MAX,
    directory: None,
};

/// The run of a strategy without and with a cache, in four epochs. Rows of one length must stand on
/// both sides of a batch's end, or batches are the same in every epoch.
struct Pair {
    without: Trail,
    with: Trail,
    steps_per_epoch: usize,
}

fn pair<M, O>(
    make: impl Fn() -> M,
    objective: O,
    rows: &[O::Example],
    strategy: &dyn Strategy,
    config: TrainConfig,
    cache: &TrunkCache,
) -> Pair
where
    M: Module,
    O: Objective<M> + Copy,
{
    let steps_per_epoch = config.length(rows.len()).steps_per_epoch;
    let config = TrainConfig {
        max_steps: Some(4 * steps_per_epoch),
        ..config
    };
    let of = |cache| {
        let run = Run {
            objective,
            rows,
            config: config.clone(),
            strategy,
            cache,
            state: None,
        };
        run.of(make())
    };
    Pair {
        without: of(None),
        with: of(Some(cache)),
        steps_per_epoch,
    }
}

impl Pair {
    /// The first epoch to the bit, the rest up to rounding; every parameter after every step.
    #[track_caller]
    fn assert_same(&self) {
        let first = 0..self.steps_per_epoch;
        assert!(self.with.bits[first.clone()] == self.without.bits[first.clone()]);
        assert_eq!(self.with.losses[first.clone()], self.without.losses[first]);
        for (found, expected) in self.with.losses.iter().zip(&self.without.losses) {
            assert!(
                (found - expected).abs() <= 1e-6 * expected.abs().max(1.0),
                "{found} {expected}"
            );
        }
        for (found, expected) in self.with.bits.iter().zip(&self.without.bits) {
            for (path, expected) in expected {
                for (a, b) in found[path].iter::<f32>().zip(expected.iter::<f32>()) {
                    assert!((a - b).abs() <= 1e-6 * b.abs().max(1.0), "{path}: {a} {b}");
                }
            }
        }
        assert!(self.without.trunks.is_empty() && self.without.used.is_none());
    }

    #[track_caller]
    fn assert_kept(&self, block: usize, rows: usize) {
        assert_eq!(self.with.trunks, [(0, TrunkReport::Kept { block })]);
        assert_eq!(self.with.used.expect("it says so").rows, rows);
    }
}

/// Adam's ε so large that what is rounding in a gradient stays rounding in a step.
fn steady(batch_size: usize) -> TrainConfig {
    TrainConfig {
        epsilon: 0.1,
        ..config(batch_size, 1)
    }
}

fn bytes<E: TrainExample>(rows: &[E]) -> u64 {
    let positions: usize = rows.iter().map(TrainExample::length).sum();
    (positions * 12 * 4) as u64
}

fn a_decoders_run_is_the_same(device: &Device) {
    let rows = examples(14);
    let all = bytes(&rows);
    let strategy = TopLayers::new(&decoder(true, device), 1).expect("it fits");
    let half = TrunkCache {
        memory: all / 2,
        ..ALL
    };
    let none = TrunkCache { memory: 0, ..ALL };
    for (cache, workers, grad_accum) in [(&ALL, 1, 1), (&half, 1, 2), (&none, 2, 1)] {
        let config = TrainConfig {
            workers,
            grad_accum,
            ..steady(3)
        };
        let make = || decoder(true, device);
        let pair = pair(make, NextToken, &rows, &strategy, config, cache);
        pair.assert_same();
        pair.assert_kept(2, 14);
        let used = pair.with.used.expect("it says so");
        assert_eq!(used.memory + used.disk, all);
        assert!(used.memory <= cache.memory);
        assert_eq!(used.disk > 0, cache.memory < all);
    }
    // With the head alone, all blocks are trunk.
    let head = Head::new(&decoder(false, device), ["lm_head"]).expect("a head");
    let make = || decoder(false, device);
    let pair = pair(make, NextToken, &rows, &head, steady(3), &ALL);
    pair.assert_same();
    pair.assert_kept(3, 14);
}

fn batches_of_one_shape_give_the_same_bits(device: &Device) {
    let row = |i: usize| {
        let ids = (0..6).map(|j| ((i * 7 + j * j + 3 * j) % 23) as u32);
        Example::new(ids.collect(), (0..6).map(|j| j > 1).collect())
    };
    let rows: Vec<Example> = (0..9).map(row).collect();
    let strategy = TopLayers::new(&decoder(false, device), 2).expect("it fits");
    let make = || decoder(false, device);
    let pair = pair(make, NextToken, &rows, &strategy, config(3, 1), &ALL);
    pair.assert_kept(1, 9);
    assert_eq!(pair.with.losses, pair.without.losses);
    assert!(pair.with.bits == pair.without.bits);
}

fn packed_rows_are_the_same(device: &Device) {
    let rows = pack(&examples(14), 16);
    assert!(rows.iter().any(|row| row.starts.len() > 1));
    let strategy = TopLayers::new(&decoder(false, device), 2).expect("it fits");
    let make = || decoder(false, device);
    let pair = pair(make, NextToken, &rows, &strategy, steady(2), &ALL);
    pair.assert_same();
    pair.assert_kept(1, rows.len());
}

fn classifiers_of_texts_and_tokens_are_the_same(device: &Device) {
    let rows = texts(11);
    let make = || encoder(device);
    let strategy = TopLayers::new(&make(), 1).expect("it fits");
    let texts = SequenceClassification::default();
    let found = pair(make, texts, &rows, &strategy, steady(3), &ALL);
    found.assert_same();
    found.assert_kept(2, 11);
    // With the head alone, which reads one position, all blocks are trunk.
    let head = Head::new(&make(), ["classifier"]).expect("a head");
    let found = pair(make, texts, &rows, &head, steady(3), &ALL);
    found.assert_same();
    found.assert_kept(3, 11);

    // A head on the mean of all positions, and one on each.
    let auto = device.clone().autodiff();
    let make = || {
        filled(ModernBertForSequenceClassification::new(
            &modernbert(),
            3,
            &auto,
        ))
    };
    let strategy = TopLayers::new(&make(), 1).expect("it fits");
    let found = pair(make, texts, &rows, &strategy, steady(3), &ALL);
    found.assert_same();
    found.assert_kept(1, 11);
    let tagged: Vec<TagExample> = rows
        .iter()
        .map(|row| TagExample {
            ids: row.ids.clone(),
            tags: row
                .ids
                .iter()
                .map(|id| (id % 2 == 0).then_some((id % 3) as usize))
                .collect(),
        })
        .filter(|row| row.n_targets() > 0)
        .collect();
    let make = || filled(BertForTokenClassification::new(&bert(), 3, &auto));
    assert_eq!(TokenClassifier::n_labels(&make()), 3);
    let strategy = TopLayers::new(&make(), 2).expect("it fits");
    let found = pair(
        make,
        TokenClassification::default(),
        &tagged,
        &strategy,
        steady(3),
        &ALL,
    );
    found.assert_same();
    found.assert_kept(1, tagged.len());
    let head = Head::new(&make(), ["classifier"]).expect("a head");
    let found = pair(
        make,
        TokenClassification::default(),
        &tagged,
        &head,
        steady(3),
        &ALL,
    );
    found.assert_same();
    found.assert_kept(3, tagged.len());
}

/// A prompt and a prefix that do not train: the trunk has the prompt's states too, and the blocks
/// above it see the prefix.
fn virtual_tokens_are_before_a_trunk(device: &Device) {
    let auto = device.clone().autodiff();
    fn under<M: Transformer>(model: M, device: &Device) -> Prompted<Prefixed<M>> {
        let mut model = Prompted::new(Prefixed::new(model));
        let d_model = model.d_model();
        let shape = PrefixShape::of(&model);
        let flat = values([3, shape.flat_width()], 5.0, device);
        model.model.input = Some(Prefix::new(flat, None, shape).expect("it fits"));
        model.input = Some(SoftPrompt::new(values([2, d_model], 7.0, device)));
        model
    }
    let rows = examples(14);
    let make = || under(decoder(false, device), &auto);
    let strategy = TopLayers::new(&make(), 2).expect("it fits");
    let found = pair(make, NextToken, &rows, &strategy, steady(3), &ALL);
    found.assert_same();
    found.assert_kept(1, 14);
    let bare = || decoder(false, device);
    let strategy = TopLayers::new(&bare(), 2).expect("it fits");
    let without = pair(bare, NextToken, &rows, &strategy, steady(3), &ALL);
    assert!(without.with.losses[0] != found.with.losses[0]);

    let rows = texts(11);
    let make = || under(encoder(device), &auto);
    let objective = SequenceClassification::default();
    let strategy = TopLayers::new(&make(), 1).expect("it fits");
    let found = pair(make, objective, &rows, &strategy, steady(3), &ALL);
    found.assert_same();
    found.assert_kept(2, 11);
    let head = Head::new(&make(), ["classifier"]).expect("a head");
    let found = pair(make, objective, &rows, &head, steady(3), &ALL);
    found.assert_same();
    found.assert_kept(3, 11);
}
