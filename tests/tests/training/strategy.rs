//! What trains in which step, by a strategy: exactly that changes, and a run resumes in any stage.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{Device, TensorData};
use peft_models::DecoderForCausalLm;
use peft_train::{
    EvalReport, Length, NextToken, Observer, Progress, StepReport, Strategy, TrainConfig,
    TrainError, TrainState, Trainer,
};

use super::{Log, adapted, bits, config, examples, moments};

peft_tests::cases!(
    exactly_the_parameters_of_a_stage_change,
    a_rate_scales_the_update,
    a_run_goes_on_in_any_stage,
    moments_are_forgotten_or_kept,
    impossible_stages_are_named,
);

/// One layer's adapters after the other, two steps each, the second layer at a quarter of the rate.
#[derive(Clone, Copy)]
struct InTurn {
    keeps: bool,
}

impl Strategy for InTurn {
    fn stage(&self, step: usize, _: &Length) -> usize {
        step / 2
    }

    fn rate(&self, stage: usize, path: &str, given: bool) -> Option<f64> {
        let layer = stage % 2;
        let here = given && path.contains(&format!(".layers.{layer}."));
        here.then_some([1.0, 0.25][layer])
    }

    fn keeps_moments(&self) -> bool {
        self.keeps
    }

    fn settings(&self) -> serde_json::Value {
        serde_json::json!({ "in turn": self.keeps })
    }
}

/// Keeps every parameter and the state after each step.
#[derive(Default)]
struct Trail {
    bits: Vec<BTreeMap<String, TensorData>>,
    states: Vec<TrainState>,
}

impl<M: Module> Observer<M> for Trail {
    fn on_step(&mut self, _: &StepReport, progress: &Progress<'_, M>) -> Result<(), TrainError> {
        self.bits.push(bits(progress.model));
        self.states.push(progress.state());
        Ok(())
    }

    fn on_eval(&mut self, _: &EvalReport, _: bool, _: &Progress<'_, M>) -> Result<(), TrainError> {
        Ok(())
    }
}

fn run(
    model: DecoderForCausalLm,
    strategy: &dyn Strategy,
    config: &TrainConfig,
    state: Option<&TrainState>,
) -> Trail {
    let mut trail = Trail::default();
    let rows = examples(10);
    Trainer::new(config, &rows)
        .with_strategy(strategy)
        .with_state(state)
        .run(model, &NextToken, &mut trail)
        .expect("it trains");
    trail
}

fn settings(steps: usize) -> TrainConfig {
    TrainConfig {
        weight_decay: 0.05,
        ..config(4, steps)
    }
}

fn exactly_the_parameters_of_a_stage_change(device: &Device) {
    for keeps in [true, false] {
        let model = adapted(device, 0.0);
        let mut before = bits(&model);
        let trail = run(model, &InTurn { keeps }, &settings(8), None);
        for (step, after) in trail.bits.into_iter().enumerate() {
            let layer = format!("layers.{}.", step / 2 % 2);
            for (path, data) in &after {
                let changed = data != &before[path];
                let expected = crate::fixture::is_adapter(path) && path.contains(&layer);
                assert_eq!(changed, expected, "{path} in step {step}");
            }
            before = after;
        }
    }
    peft_tests::Invariant::Stages.verified("lora", device);
}

fn a_rate_scales_the_update(device: &Device) {
    /// The second layer at a quarter, all else as it is.
    struct Quarter(f64);
    impl Strategy for Quarter {
        fn stage(&self, _: usize, _: &Length) -> usize {
            0
        }
        fn rate(&self, _: usize, path: &str, given: bool) -> Option<f64> {
            let rate = if path.contains(".layers.1.") {
                self.0
            } else {
                1.0
            };
            given.then_some(rate)
        }
    }
    let before = bits(&adapted(device, 0.0));
    let after = |rate| {
        let trail = run(adapted(device, 0.0), &Quarter(rate), &config(4, 1), None);
        trail.bits.into_iter().next().expect("a step")
    };
    let (whole, quarter) = (after(1.0), after(0.25));
    let mut scaled = 0;
    for (path, start) in &before {
        let moved = |end: &BTreeMap<String, TensorData>| -> Vec<f32> {
            let pairs = end[path].iter::<f32>().zip(start.iter::<f32>());
            pairs.map(|(end, start)| end - start).collect()
        };
        let rate = if path.contains(".layers.1.") {
            0.25
        } else {
            1.0
        };
        for (whole, quarter) in moved(&whole).into_iter().zip(moved(&quarter)) {
            assert!((rate * whole - quarter).abs() < 1e-6, "{path}");
            scaled += usize::from(rate < 1.0 && whole.abs() > 1e-3);
        }
    }
    assert!(scaled > 10, "{scaled} elements show the rate");
}

fn a_run_goes_on_in_any_stage(device: &Device) {
    for keeps in [true, false] {
        let strategy = InTurn { keeps };
        let whole = run(adapted(device, 0.0), &strategy, &settings(7), None);
        for after in 1..7 {
            let dir = tempfile::tempdir().expect("a directory");
            let path = dir.path().join("state");
            whole.states[after - 1].save(&path).expect("it is written");
            let state = TrainState::load(&path).expect("it is read");
            let rest = run(adapted(device, 0.0), &strategy, &settings(7), Some(&state));
            assert!(
                rest.bits == whole.bits[after..],
                "after step {after}, moments kept: {keeps}"
            );
        }
    }
}

fn moments_are_forgotten_or_kept(device: &Device) {
    let size = |keeps, step: usize| {
        let trail = run(adapted(device, 0.0), &InTurn { keeps }, &settings(6), None);
        moments(&trail.states[step - 1])
    };
    // The layers are of one size: those of one have half the moments of both.
    let one = size(true, 2);
    assert!(one > 0);
    for step in [4, 6] {
        assert_eq!((size(true, step), size(false, step)), (2 * one, one));
    }
    // In the third stage the first layer trains again: with the moments that it had, or without.
    let end = |keeps| run(adapted(device, 0.0), &InTurn { keeps }, &settings(6), None).bits;
    let (kept, forgotten) = (end(true), end(false));
    assert!(kept[3] == forgotten[3]);
    assert!(kept[4] != forgotten[4]);
}

fn impossible_stages_are_named(device: &Device) {
    struct Odd(Option<f64>);
    impl Strategy for Odd {
        fn stage(&self, step: usize, _: &Length) -> usize {
            step
        }
        fn rate(&self, stage: usize, _: &str, given: bool) -> Option<f64> {
            let rate = if stage == 1 { self.0 } else { Some(1.0) };
            rate.filter(|_| given)
        }
    }
    let rows = examples(4);
    let settings = config(2, 3);
    let refused = |rate| {
        let mut log = Log::default();
        let odd = Odd(rate);
        let trainer = Trainer::new(&settings, &rows).with_strategy(&odd);
        let error = trainer
            .run(adapted(device, 0.0), &NextToken, &mut log)
            .err();
        (log.steps.len(), error.expect("it is refused"))
    };
    assert!(matches!(refused(None), (1, TrainError::NothingTrains)));
    for rate in [-1.0, f64::NAN] {
        assert!(matches!(refused(Some(rate)), (1, TrainError::Rate { .. })));
    }
    // A state goes on with its own strategy only.
    let state = &run(
        adapted(device, 0.0),
        &InTurn { keeps: true },
        &config(2, 3),
        None,
    )
    .states[0];
    let rows = examples(10);
    let other = Trainer::new(&settings, &rows).with_state(state).run(
        adapted(device, 0.0),
        &NextToken,
        &mut Log::default(),
    );
    let message = other.expect_err("it is refused").to_string();
    assert!(message.contains("strategy"), "{message}");
}
