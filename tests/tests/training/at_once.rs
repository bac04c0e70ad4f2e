//! Runs that go step by step together are each as they are alone.

use std::collections::BTreeMap;
use std::thread;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};
use peft_core::{ForwardPath, Placed, Targets};
use peft_lora::LoraConfig;
use peft_models::DecoderConfig;
use peft_prefix::Prefixed;
use peft_ptuning::Prompted;
use peft_train::{
    Example, NextToken, Optimizer, PackedNextToken, Regularisation, RunSeat, RunsAtOnce,
    TrainConfig, TrainError, Trainer,
};

use super::devices::{Log, run};
use super::{adapted, bits, config, examples};
use crate::checkpointing::{Attach, METHODS, Model};
use crate::fixture::filled_adapters;
use crate::models::{spread, tiny};

peft_tests::cases!(on the cores:
    each_run_is_as_it_is_alone,
    runs_on_a_narrow_base_are_as_they_are_alone,
    runs_of_a_small_model_are_as_they_are_alone,
    runs_of_a_models_own_parameters_share_no_graph,
    rows_go_through_a_weight_together,
    a_run_that_fails_leaves_the_others,
    what_draws_is_refused,
);

/// What a run leaves: its parameters, losses, and the parameters of its states.
type Left = (BTreeMap<String, TensorData>, Vec<f64>, Vec<String>);

/// A run that differs from the others in all that a run can.
struct Member {
    name: &'static str,
    model: Model,
    config: TrainConfig,
    rows: Vec<Example>,
}

impl Member {
    fn new(i: usize, name: &'static str, model: Model) -> Self {
        let config = TrainConfig {
            learning_rate: 0.01 * (1 + i % 3) as f64,
            grad_accum: 1 + i % 2,
            workers: 1 + i % 3 / 2,
            seed: i as u64,
            recompute: i % 5 == 4,
            optimizer: match i % 7 {
                3 => Optimizer::Lion,
                _ => Optimizer::AdamW,
            },
            ..config(2 + i % 3, 3 + i % 3)
        };
        Self {
            name,
            model,
            config,
            rows: examples(5 + i % 4),
        }
    }

    fn left(&self, trainer: Trainer<'_, Example>) -> Left {
        let (params, log) = run(trainer, self.model.clone());
        let losses = log.steps.iter().map(|step| step.loss).collect();
        let dir = tempfile::tempdir().expect("a directory");
        let states = log.states.iter().enumerate().map(|(i, state)| {
            let path = dir.path().join(i.to_string());
            state.save(&path).expect("it is written");
            let bytes = std::fs::read(&path).expect("it is read");
            let mut digest = peft_core::Digest::default();
            digest.add_bytes(&bytes);
            digest.to_string()
        });
        (params, losses, states.collect())
    }

    fn alone(&self) -> Left {
        self.left(Trainer::new(&self.config, &self.rows))
    }
}

/// What each makes of its seat, on a thread of its own.
fn seated<T: Send>(
    members: &[Member],
    base: &Model,
    train: impl Fn(&Member, &RunSeat) -> T + Sync,
) -> Vec<T> {
    let seats = RunsAtOnce::seats(base, members.len());
    thread::scope(|scope| {
        let train = &train;
        let spawn = |(member, seat)| scope.spawn(move || train(member, &seat));
        let threads: Vec<_> = members.iter().zip(seats).map(spawn).collect();
        let threads = threads.into_iter();
        threads
            .map(|thread| thread.join().expect("no panic"))
            .collect()
    })
}

/// What each leaves, at once; and how many products they asked for and had made.
fn at_once(members: &[Member], base: &Model) -> (Vec<Left>, (usize, usize)) {
    let found = seated(members, base, |member, seat| {
        let trainer = Trainer::new(&member.config, &member.rows);
        let left = member.left(trainer.with_runs(seat));
        (left, seat.products())
    });
    let most = found.iter().map(|(_, products)| *products).max();
    let left = found.into_iter().map(|(left, _)| left).collect();
    (left, most.unwrap_or_default())
}

#[track_caller]
fn check(members: &[Member], base: &Model) -> (usize, usize) {
    let (found, products) = at_once(members, base);
    for (member, found) in members.iter().zip(found) {
        let (name, alone) = (member.name, member.alone());
        assert_eq!(found.1, alone.1, "losses of {name}");
        assert!(found.0 == alone.0, "parameters of {name}");
        assert!(found.2 == alone.2, "states of {name}");
        assert_ne!(alone.0, bits(&member.model), "{name} moves");
    }
    products
}

/// Wide enough that rows go through its weights together.
fn base(device: &Device) -> Model {
    let config = DecoderConfig {
        head_dim: 36,
        d_model: 72,
        d_ff: 96,
        ..tiny()
    };
    Prompted::new(Prefixed::new(spread(&config, &device.clone().autodiff())))
}

fn each_run_is_as_it_is_alone(device: &Device) {
    let base = base(device);
    let member = |(i, (name, _, attach)): (usize, &(&'static str, _, Attach))| {
        let mut model = base.clone();
        attach(&mut model);
        Member::new(i, name, filled_adapters(model))
    };
    let members: Vec<Member> = METHODS.iter().enumerate().map(member).collect();
    for members in members.chunks(9) {
        check(members, &base);
    }
}

/// Every parameter in another type.
struct Narrow;

impl ModuleMapper for Narrow {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| tensor.cast(DType::BF16).detach())
    }
}

fn runs_on_a_narrow_base_are_as_they_are_alone(device: &Device) {
    if !peft_kernels::multiplies_packed(device) {
        return;
    }
    let base = base(device).map(&mut Narrow);
    check(&several(&base, 3), &base);
}

/// Whose products are so small that the order of their sums depends on their rows.
fn runs_of_a_small_model_are_as_they_are_alone(device: &Device) {
    let base = Prompted::new(Prefixed::new(spread(&tiny(), &device.clone().autodiff())));
    check(&several(&base, 4), &base);
}

/// In a graph that they share one would hold what another waits for, product by product.
fn runs_of_a_models_own_parameters_share_no_graph(device: &Device) {
    let base = base(device);
    let (name, _, attach) = METHODS
        .iter()
        .find(|(name, ..)| *name == "the top layers")
        .expect("it is there");
    let members = (0..3).map(|i| {
        let mut model = base.clone();
        attach(&mut model);
        let mut member = Member::new(2 * i, name, model);
        member.config.workers = 1;
        member
    });
    check(&members.collect::<Vec<_>>(), &base);
}

/// LoRA of some rank, with rows, rates and steps of its own.
fn several(base: &Model, n: usize) -> Vec<Member> {
    let member = |i: usize| {
        let mut model = base.clone();
        let config = LoraConfig::new(1 + i, 4.0).with_targets(Targets::all_linear());
        config.attach(&mut model, "default").expect("it attaches");
        Member::new(i, "lora", filled_adapters(model))
    };
    (0..n).map(member).collect()
}

fn rows_go_through_a_weight_together(device: &Device) {
    let base = base(device);
    let mut members = several(&base, 4);
    for member in &mut members {
        // As many threads and batches in each step, or there is nothing to be together with.
        member.config = TrainConfig {
            batch_size: 4,
            learning_rate: member.config.learning_rate,
            ..config(4, 3)
        };
        member.rows = examples(8);
    }
    let (asked, made) = check(&members, &base);
    match peft_kernels::multiplies_packed(device) {
        true => assert!(made > 0 && 2 * made < asked, "{made} of {asked}"),
        false => assert_eq!((asked, made), (0, 0)),
    }
}

fn a_run_that_fails_leaves_the_others(device: &Device) {
    let base = base(device);
    let mut members = several(&base, 3);
    // No number is finite after its first step.
    members[1].config.learning_rate = 1e30;
    let ended = seated(&members, &base, |member, seat| {
        let trainer = Trainer::new(&member.config, &member.rows).with_runs(seat);
        trainer.run(member.model.clone(), &NextToken, &mut Log::default())
    });
    for (member, ended) in members.iter().zip(ended) {
        let fails = member.config.learning_rate > 1.0;
        match ended {
            Ok(model) if !fails => assert!(bits(&model) == member.alone().0),
            Err(TrainError::Diverged { .. }) if fails => {}
            other => panic!("{fails}: {:?}", other.map(|_| ())),
        }
    }
}

fn what_draws_is_refused(device: &Device) {
    let refused = |model: &_, objective: PackedNextToken| {
        let seat = RunsAtOnce::seats(model, 1).pop().expect("a seat");
        let (rows, config) = (examples(4), config(2, 2));
        let trainer = Trainer::new(&config, &rows).with_runs(&seat);
        let mut log = super::Log::default();
        let run = trainer.run(Clone::clone(model), &objective, &mut log);
        matches!(run, Err(TrainError::AtOnce { reason }) if reason.contains("dropout"))
    };
    let plain = PackedNextToken {
        row_length: 24,
        regularisation: Regularisation::default(),
    };
    let noisy = PackedNextToken {
        regularisation: Regularisation {
            noise_alpha: 5.0,
            ..Regularisation::default()
        },
        ..plain
    };
    assert!(!refused(&adapted(device, 0.0), plain));
    assert!(refused(&adapted(device, 0.3), plain));
    // Also where what is dropped does not act yet.
    let mut fresh = spread(&tiny(), &device.clone().autodiff());
    let lora = LoraConfig::new(2, 4.0)
        .with_dropout(0.5)
        .with_path(ForwardPath::Factored);
    lora.attach(&mut fresh, "default").expect("it attaches");
    assert!(refused(&fresh, plain));
    assert!(refused(&adapted(device, 0.0), noisy));
}
