//! Strategies of several stages: exactly what a stage names changes in it, rates are exact, draws
//! cover the blocks, and a run goes on in any stage.

use std::collections::BTreeSet;

use burn::tensor::Device;
use peft_layerwise::{
    BAdam, BlockPlace, Discriminative, Every, Full, Gradual, Head, Length, Lisa, Order, Side,
    Strategy, TopLayers, Union,
};
use peft_train::{NextToken, SequenceClassification, TrainConfig, TrainState};

use super::paths::{Paths, all, decoder as d, encoder as e};
use super::{Run, Trail, changed, decoder, encoder, texts};
use crate::training::{bits, config, examples};

peft_tests::cases!(
    unfreezing_goes_downwards_and_upwards,
    unfreezing_counts_epochs,
    rates_fall_with_depth,
    lisa_draws_blocks,
    badam_trains_every_block_in_turn,
    a_run_goes_on_in_any_stage,
);

/// What changes in each step of a decoder's run; 12 rows in batches of 4 are 3 steps an epoch.
fn changes(strategy: &dyn Strategy, steps: usize, device: &Device) -> Vec<Paths> {
    let model = decoder(false, device);
    let mut before = bits(&model);
    let rows = examples(12);
    let run = Run {
        objective: NextToken,
        rows: &rows,
        config: config(4, steps),
        strategy,
        cache: None,
        state: None,
    };
    let step = |after| {
        let found = changed(&before, &after);
        before = after;
        found
    };
    run.of(model).bits.into_iter().map(step).collect()
}

fn unfreezing_goes_downwards_and_upwards(device: &Device) {
    let model = decoder(false, device);
    let down = [
        d::above(),
        d::block(2),
        d::block(1),
        d::block(0),
        d::below(),
    ];
    let up = [
        d::below(),
        d::block(0),
        d::block(1),
        d::block(2),
        d::above(),
    ];
    for (side, order) in [(Side::Top, down), (Side::Bottom, up)] {
        let strategy = Gradual::new(&model, side, Every::Steps(2)).expect("it fits");
        assert_eq!(strategy.n_stages(), 5);
        for (step, found) in changes(&strategy, 12, device).into_iter().enumerate() {
            let stage = (step / 2).min(4);
            assert_eq!(found, all(order[..=stage].to_vec()), "{side:?} step {step}");
        }
    }
}

/// In an encoder, whose head is new: it trains throughout.
fn unfreezing_counts_epochs(device: &Device) {
    let model = encoder(device);
    let gradual = Gradual::new(&model, Side::Bottom, Every::Epochs(2)).expect("it fits");
    let head = Head::new(&model, ["classifier"]).expect("a head");
    let strategy = Union::new(gradual, head);
    let mut before = bits(&model);
    let rows = texts(6);
    // Two steps an epoch, so four a stage.
    let run = Run {
        objective: SequenceClassification::default(),
        rows: &rows,
        config: config(3, 21),
        strategy: &strategy,
        cache: None,
        state: None,
    };
    let order = [
        e::below(),
        e::block(0),
        e::block(1),
        e::block(2),
        e::above(),
    ];
    for (step, after) in run.of(model).bits.into_iter().enumerate() {
        let stage = (step / 4).min(4);
        let expected = all(order[..=stage].iter().cloned().chain([e::head()]));
        assert_eq!(changed(&before, &after), expected, "step {step}");
        before = after;
    }
}

fn rates_fall_with_depth(device: &Device) {
    let model = decoder(false, device);
    let strategy = Discriminative::new(&model, Full, 0.5).expect("it fits");
    let groups = [
        (d::above(), 1.0),
        (d::block(2), 0.5),
        (d::block(1), 0.25),
        (d::block(0), 0.125),
        (d::below(), 0.0625),
    ];
    for (paths, rate) in &groups {
        for path in paths {
            assert_eq!(strategy.rate(0, path, true), Some(*rate), "{path}");
        }
    }
    // The first step of Adam moves each element by the learning rate: the movements show the rates.
    let rows = examples(4);
    let run = Run {
        objective: NextToken,
        rows: &rows,
        config: config(4, 1),
        strategy: &strategy,
        cache: None,
        state: None,
    };
    let before = bits(&model);
    let after = run.of(model).bits.pop().expect("a step");
    for (paths, rate) in groups {
        for path in paths {
            let pairs = after[&path].iter::<f32>().zip(before[&path].iter::<f32>());
            let most = pairs
                .map(|(a, b)| f64::from((a - b).abs()))
                .fold(0.0, f64::max);
            assert!((most / (0.02 * rate) - 1.0).abs() < 1e-3, "{path}: {most}");
        }
    }
    // It wraps others, and keeps their stages.
    let gradual = Gradual::new(&decoder(false, device), Side::Top, Every::Steps(1));
    let both = Discriminative::new(&decoder(false, device), gradual.expect("it fits"), 0.5);
    let both = both.expect("it fits");
    let length = Length {
        steps_per_epoch: 3,
        total_steps: 9,
    };
    assert_eq!(both.stage(2, &length), 2);
    assert_eq!(
        both.rate(2, "model.layers.1.mlp.up_proj.weight", true),
        Some(0.25)
    );
    assert_eq!(
        both.rate(1, "model.layers.1.mlp.up_proj.weight", true),
        None
    );
    peft_tests::Invariant::Schedule.verified("layer-wise", device);
}

fn lisa_draws_blocks(device: &Device) {
    let model = decoder(false, device);
    let lisa = |seed| Lisa::new(&model, 2, Every::Steps(2), seed).expect("it fits");
    let draws = |seed| {
        (0..30)
            .map(|stage| lisa(seed).blocks(stage))
            .collect::<Vec<_>>()
    };
    assert_eq!(draws(7), draws(7));
    assert_ne!(draws(7), draws(8));
    let mut counts = [0; 3];
    for blocks in draws(7) {
        assert!(
            blocks.len() == 2 && blocks[0] < blocks[1] && blocks[1] < 3,
            "{blocks:?}"
        );
        blocks.iter().for_each(|block| counts[*block] += 1);
    }
    // Twenty each, were they equal.
    assert!(
        counts.iter().all(|count| (12..28).contains(count)),
        "{counts:?}"
    );
    for (step, found) in changes(&lisa(7), 8, device).into_iter().enumerate() {
        let blocks = lisa(7).blocks(step / 2).into_iter().map(d::block);
        let expected = all(blocks.chain([d::below(), d::above()]));
        assert_eq!(found, expected, "step {step}");
    }
}

fn badam_trains_every_block_in_turn(device: &Device) {
    let model = decoder(false, device);
    let badam = |order| BAdam::new(&model, Every::Steps(2), order).expect("it fits");
    let ends = [
        d::below(),
        d::block(0),
        d::block(1),
        d::block(2),
        d::above(),
    ];
    let in_turn = |strategy: &BAdam, blocks: &[Paths]| {
        for (step, found) in changes(strategy, 14, device).into_iter().enumerate() {
            assert_eq!(
                found,
                blocks[step / 2 % blocks.len()],
                "{strategy:?} step {step}"
            );
        }
    };
    in_turn(&badam(Order::Ascending), &ends[1..4]);
    let mut down = ends[1..4].to_vec();
    down.reverse();
    in_turn(&badam(Order::Descending), &down);
    in_turn(&badam(Order::Ascending).with_ends(), &ends);
    let shuffled = badam(Order::Shuffled(3));
    let rounds: Vec<Vec<BlockPlace>> = (0..8)
        .map(|round| {
            (0..3)
                .map(|turn| shuffled.place(3 * round + turn))
                .collect()
        })
        .collect();
    for round in &rounds {
        let once: BTreeSet<&BlockPlace> = round.iter().collect();
        assert_eq!(once.len(), 3, "{round:?}");
    }
    assert!(rounds.iter().any(|round| *round != rounds[0]));
    for (step, found) in changes(&shuffled, 8, device).into_iter().enumerate() {
        let BlockPlace::Block(block) = shuffled.place(step / 2) else {
            panic!("the ends do not train");
        };
        assert_eq!(found, d::block(block), "step {step}");
    }
    peft_tests::Invariant::Stages.verified("layer-wise", device);
}

fn a_run_goes_on_in_any_stage(device: &Device) {
    let model = decoder(false, device);
    let gradual = Gradual::new(&model, Side::Top, Every::Steps(2)).expect("it fits");
    let slow = Discriminative::new(&model, gradual, 0.5).expect("it fits");
    let lisa = Lisa::new(&model, 1, Every::Steps(2), 5).expect("it fits");
    let badam = BAdam::new(&model, Every::Steps(2), Order::Shuffled(1)).expect("it fits");
    let with = Union::new(badam, Head::new(&model, ["lm_head"]).expect("a head"));
    let top = TopLayers::new(&model, 1).expect("it fits");
    let strategies: [&dyn Strategy; 4] = [&slow, &lisa, &with, &top];
    let rows = examples(10);
    let run = |strategy, state: Option<&TrainState>| -> Trail {
        let run = Run {
            objective: NextToken,
            rows: &rows,
            config: TrainConfig {
                weight_decay: 0.05,
                ..config(4, 8)
            },
            strategy,
            cache: None,
            state,
        };
        run.of(decoder(false, device))
    };
    for strategy in strategies {
        let whole = run(strategy, None);
        for after in 1..8 {
            let dir = tempfile::tempdir().expect("a directory");
            let path = dir.path().join("state");
            whole.states[after - 1].save(&path).expect("it is written");
            let state = TrainState::load(&path).expect("it is read");
            let rest = run(strategy, Some(&state));
            let name = strategy.settings();
            assert!(
                rest.bits == whole.bits[after..],
                "{name} after step {after}"
            );
        }
    }
    peft_tests::Invariant::Resumed.verified("layer-wise", device);
}
