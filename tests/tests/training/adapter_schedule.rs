//! A schedule that changes adapters between steps, with their gradients: AdaLoRA's shape (Zhang et
//! al. 2023, arXiv:2303.10512) in a method of a few lines.

use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Tensor};
use peft_core::{
    Adapter, AdapterSlot, ForwardPath, FrozenWeight, Layer, LayerKind, Placement, Targets, attach,
    slots, with_value,
};
use peft_models::DecoderForCausalLm;
use peft_tests::tolerance::PATHS;
use peft_train::{
    AdapterSchedule, EvalReport, Example, NextToken, Objective, Observer, Progress, StepReport,
    TrainConfig, TrainError, TrainState, Trainer,
};
use serde_json::{Value, json};

use super::{Log, bits, config, examples};
use crate::fixture::{assert_close, values};
use crate::models::{spread, tiny};

peft_tests::cases!(
    a_budget_moves_between_layers,
    the_gradients_are_those_of_the_step,
    a_run_goes_on_to_the_same_bits,
);

const RANK: usize = 4;

/// `W' = W + A diag(E) B`.
#[derive(Module, Debug)]
struct Ranked {
    /// `[d_in, rank]`.
    a: Param<Tensor<2>>,
    /// `[rank]`.
    e: Param<Tensor<1>>,
    /// `[rank, d_out]`.
    b: Param<Tensor<2>>,
    /// How much the loss has moved with each of `e`, `[rank]`; it does not train.
    importance: Param<Tensor<1>>,
}

impl Adapter for Ranked {
    const NAME: &'static str = "ranked";

    fn weight<const D: usize>(&self, base: &FrozenWeight<D>) -> Tensor<D> {
        let scaled = self.a.val() * self.e.val().unsqueeze();
        let delta = scaled.matmul(self.b.val());
        base.dense_in(delta.dtype()) + delta.reshape(base.dims())
    }
}

fn fresh(seed: usize, layer: &Layer) -> Ranked {
    let ([d_in, d_out], on) = (layer.shape, &layer.device);
    let seed = seed as f32;
    let importance = Tensor::zeros([RANK], (on, DType::F32));
    Ranked {
        a: Param::from_tensor(values([d_in, RANK], seed, on)),
        e: Param::from_tensor(values([RANK], seed + 0.3, on)),
        b: Param::from_tensor(values([RANK, d_out], seed + 0.6, on)),
        importance: Param::from_tensor(importance).set_require_grad(false),
    }
}

fn adapted(device: &Device) -> DecoderForCausalLm {
    let mut model = spread(&tiny(), &device.clone().autodiff());
    let placement = Placement {
        path: ForwardPath::Factored,
        ..Placement::new(Targets::suffixes(["q_proj", "down_proj"]))
    };
    attach(
        &mut model,
        "default",
        &placement,
        &[LayerKind::Linear],
        |layers| {
            let layers = layers.iter().enumerate();
            Ok(layers.map(|(i, layer)| fresh(i, layer)).collect())
        },
    )
    .expect("it attaches");
    model
}

/// From a step on, so many of all the entries of `E` are left, those of most importance.
struct Budget {
    entries: usize,
    from: usize,
}

impl AdapterSchedule for Budget {
    fn after_step(
        &self,
        step: usize,
        _total_steps: usize,
        slots: &mut [(String, AdapterSlot)],
        gradients: &GradientsParams,
    ) {
        let mut all = Vec::new();
        for (at, (_, slot)) in slots.iter_mut().enumerate() {
            let mut ranked = slot.get::<Ranked>("default").expect("it is there").clone();
            let of_e = gradients.get::<1>(ranked.e.id).expect("it trains");
            let moved = (ranked.e.val().inner() * of_e).abs();
            let importance = (ranked.importance.val().inner() + moved).div_scalar(2.0);
            let entries = importance.to_data();
            all.extend(entries.iter::<f32>().enumerate().map(|(i, v)| (v, at, i)));
            ranked.importance = with_value(ranked.importance, importance);
            assert!(slot.set("default", ranked));
        }
        if step < self.from {
            return;
        }
        all.sort_by(|one, other| other.0.total_cmp(&one.0));
        let left = &all[..self.entries];
        for (at, (_, slot)) in slots.iter_mut().enumerate() {
            let mut ranked = slot.get::<Ranked>("default").expect("it is there").clone();
            let mask: Vec<f32> = (0..RANK)
                .map(|i| {
                    f32::from(
                        left.iter()
                            .any(|(_, slot, entry)| (*slot, *entry) == (at, i)),
                    )
                })
                .collect();
            let e = ranked.e.val().inner();
            let mask = Tensor::<1>::from_data(mask.as_slice(), &e.device());
            ranked.e = with_value(ranked.e, e * mask);
            assert!(slot.set("default", ranked));
        }
    }

    fn keeps(&self, path: &str) -> bool {
        path.ends_with(".importance")
    }

    fn settings(&self) -> Value {
        json!({ "entries": self.entries, "from": self.from })
    }
}

/// The entries of each layer's `E` that are not zero.
fn entries_left(model: &DecoderForCausalLm) -> Vec<usize> {
    let slots = slots(model).into_iter();
    let ranked = slots.map(|(_, slot)| slot.get::<Ranked>("default").expect("there").clone());
    ranked
        .map(|ranked| {
            let e = ranked.e.val().into_data();
            e.iter::<f32>().filter(|entry| *entry != 0.0).count()
        })
        .collect()
}

fn run<O: Observer<DecoderForCausalLm>>(
    model: DecoderForCausalLm,
    config: &TrainConfig,
    rows: &[Example],
    state: Option<&TrainState>,
    budget: &Budget,
    observer: &mut O,
) -> Result<DecoderForCausalLm, TrainError> {
    Trainer::new(config, rows)
        .with_adapter_schedule(budget as &dyn AdapterSchedule)
        .with_state(state)
        .run(model, &NextToken, observer)
}

fn a_budget_moves_between_layers(device: &Device) {
    let budget = Budget {
        entries: 7,
        from: 2,
    };
    let rows = examples(10);
    let model = adapted(device);
    let layers = entries_left(&model).len();
    let early = run(
        model,
        &config(4, 2),
        &rows,
        None,
        &budget,
        &mut Log::default(),
    );
    assert_eq!(
        entries_left(&early.expect("it trains")),
        vec![RANK; layers],
        "all, at first"
    );
    let late = run(
        adapted(device),
        &config(4, 5),
        &rows,
        None,
        &budget,
        &mut Log::default(),
    );
    let late = late.expect("it trains");
    let left = entries_left(&late);
    assert_eq!(left.iter().sum::<usize>(), 7, "{left:?}");
    assert!(left.iter().max() != left.iter().min(), "{left:?}");
    // What was edited trains on.
    let trains = |slot: &AdapterSlot| {
        let ranked = slot.get::<Ranked>("default").expect("it is there");
        assert!(!ranked.importance.val().is_require_grad());
        ranked.e.val().is_require_grad()
    };
    assert!(slots(&late).iter().all(|(_, slot)| trains(slot)));
}

fn the_gradients_are_those_of_the_step(device: &Device) {
    let budget = Budget {
        entries: 7,
        from: 9,
    };
    let rows = examples(4);
    let before = adapted(device);
    let all: Vec<&Example> = rows.iter().collect();
    let n_targets: usize = rows.iter().map(Example::n_targets).sum();
    let auto = &device.clone().autodiff();
    let loss = NextToken.loss_sum(&before, &all, auto);
    let grads = loss.div_scalar(n_targets as f64).backward();
    let grads = GradientsParams::from_grads(grads, &before);
    // One step of all rows; a norm of gradients that is not clipped.
    let config = TrainConfig {
        max_grad_norm: None,
        ..config(4, 1)
    };
    let after = run(
        before.clone(),
        &config,
        &rows,
        None,
        &budget,
        &mut Log::default(),
    );
    let after = after.expect("it trains");
    for (_, slot) in slots(&after) {
        let ranked: &Ranked = slot.get("default").expect("it is there");
        let of_e = grads.get::<1>(ranked.e.id).expect("it trains");
        let expected = (ranked.e.val().inner() * of_e).abs().div_scalar(2.0);
        let largest = expected.clone().max();
        assert!(largest.clone().into_scalar::<f32>() > 1e-7);
        let found = ranked.importance.val().inner() / largest.clone();
        assert_close(&found, &(expected / largest), PATHS);
    }
}

/// Ends a run after a step, and keeps its state.
struct After(usize, Option<TrainState>);

impl<M: Module> Observer<M> for After {
    fn on_step(
        &mut self,
        report: &StepReport,
        progress: &Progress<'_, M>,
    ) -> Result<(), TrainError> {
        if report.step < self.0 {
            return Ok(());
        }
        self.1 = Some(progress.state());
        Err(TrainError::NothingTrains)
    }

    fn on_eval(&mut self, _: &EvalReport, _: bool, _: &Progress<'_, M>) -> Result<(), TrainError> {
        Ok(())
    }
}

fn a_run_goes_on_to_the_same_bits(device: &Device) {
    let budget = Budget {
        entries: 7,
        from: 2,
    };
    let (rows, config) = (examples(10), config(4, 6));
    let whole = run(
        adapted(device),
        &config,
        &rows,
        None,
        &budget,
        &mut Log::default(),
    );
    let expected = bits(&whole.expect("it trains"));
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("state");
    for after in [1, 4] {
        let mut end = After(after, None);
        let ended = run(adapted(device), &config, &rows, None, &budget, &mut end);
        assert!(ended.is_err());
        let state = end.1.expect("it was kept");
        state.save(&path).expect("it is written");
        let state = TrainState::load(&path).expect("it is read");
        let log = &mut Log::default();
        let on = run(adapted(device), &config, &rows, Some(&state), &budget, log);
        assert!(bits(&on.expect("it goes on")) == expected, "after {after}");
        let other = Budget {
            entries: 8,
            from: 2,
        };
        let refused = run(adapted(device), &config, &rows, Some(&state), &other, log);
        let error = refused.map(drop).expect_err("another schedule").to_string();
        assert!(
            error.contains("`adapter schedule.entries` was 7"),
            "{error}"
        );
    }
}
