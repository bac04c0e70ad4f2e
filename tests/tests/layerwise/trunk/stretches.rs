//! The stretches of steps in which a trunk is kept, and runs that go on within them.

use burn::tensor::Device;
use peft_layerwise::{Every, Gradual, Head, Side};
use peft_train::{
    NextToken, SequenceClassification, TrainConfig, TrainState, TrunkCache, TrunkRefusal,
    TrunkReport,
};

use super::models::odd;
use super::{ALL, steady};
use crate::layerwise::{Run, decoder, texts};
use crate::training::{config, examples};

peft_tests::cases!(
    it_follows_the_lowest_block,
    a_run_goes_on_to_the_same_bits,
    a_row_has_the_states_of_one_batch,
);

/// Gradual unfreezing, two epochs a stage: the trunk shrinks, and is gone.
fn it_follows_the_lowest_block(device: &Device) {
    let rows = examples(14);
    let make = || decoder(false, device);
    let strategy = Gradual::new(&make(), Side::Top, Every::Epochs(2)).expect("it fits");
    let of = |cache| {
        let run = Run {
            objective: NextToken,
            rows: &rows,
            config: TrainConfig {
                max_steps: Some(10 * 5),
                ..steady(3)
            },
            strategy: &strategy,
            cache,
            state: None,
        };
        run.of(make())
    };
    let (without, with) = (of(None), of(Some(&ALL)));
    let kept = |block| TrunkReport::Kept { block };
    let gone = TrunkReport::NotKept(TrunkRefusal::TrainsBelow);
    let expected = [(0, kept(3)), (10, kept(2)), (20, kept(1)), (30, gone)];
    assert_eq!(with.trunks, expected);
    for (found, expected) in with.losses.iter().zip(&without.losses) {
        assert!(
            (found - expected).abs() <= 1e-5 * expected.abs(),
            "{found} {expected}"
        );
    }
}

fn a_run_goes_on_to_the_same_bits(device: &Device) {
    let rows = examples(14);
    let make = || decoder(false, device);
    let strategy = Gradual::new(&make(), Side::Top, Every::Steps(6)).expect("it fits");
    let none = TrunkCache { memory: 0, ..ALL };
    let run = |state: Option<&TrainState>, workers| {
        let run = Run {
            objective: NextToken,
            rows: &rows,
            config: TrainConfig {
                workers,
                ..config(3, 14)
            },
            strategy: &strategy,
            cache: Some(&none),
            state,
        };
        run.of(make())
    };
    for workers in [1, 2] {
        let whole = run(None, workers);
        for after in 1..14 {
            let rest = run(Some(&whole.states[after - 1]), workers);
            assert!(
                rest.bits == whole.bits[after..],
                "after step {after}, {workers} workers"
            );
        }
    }
}

/// In a model whose states depend on the batch by far more than rounding, a row has those of its
/// batch in the first epoch, however often a run is interrupted.
fn a_row_has_the_states_of_one_batch(device: &Device) {
    let rows = texts(11);
    let make = || odd(0.05, device);
    let head = Head::new(&make(), ["classifier"]).expect("a head");
    let none = TrunkCache { memory: 0, ..ALL };
    for workers in [1, 2] {
        let run = |cache, state: Option<&TrainState>| {
            let run = Run {
                objective: SequenceClassification::default(),
                rows: &rows,
                config: TrainConfig {
                    workers,
                    ..config(3, 10)
                },
                strategy: &head,
                cache,
                state,
            };
            run.of(make())
        };
        let (without, whole) = (run(None, None), run(Some(&none), None));
        assert!(whole.bits[..4] == without.bits[..4]);
        assert!(whole.bits[4..] != without.bits[4..]);
        for after in 1..10 {
            let rest = run(Some(&none), Some(&whole.states[after - 1]));
            assert!(
                rest.bits == whole.bits[after..],
                "after step {after}, {workers} workers"
            );
        }
    }
}
