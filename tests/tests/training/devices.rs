//! Several devices give the updates of one.
//!
//! Backends of one build are devices apart: what is on one is no tensor of the other.

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use peft_core::{ParamPlace, VisitParams, visit_params};
use peft_layerwise::{BAdam, Every, Order, TopLayers};
use peft_models::DecoderForCausalLm;
use peft_prefix::{PrefixConfig, Prefixed};
use peft_ptuning::Prompted;
use peft_tests::devices;
use peft_train::{
    NextToken, Objective, Observer, Progress, StepReport, TrainConfig, TrainError, TrainState,
    Trainer, TrunkCache,
};

use super::{adapted, bits, config, examples};
use crate::checkpointing::{METHODS, Model};
use crate::fixture::filled;
use crate::models::{spread, tiny};

peft_tests::cases!(on the cores:
    every_method_has_the_update_of_one_device,
    fifty_steps_of_an_adapter_have_the_losses_of_one,
    fifty_steps_of_a_prefix_have_the_losses_of_one,
    fifty_steps_of_badam_have_the_losses_of_one,
    a_device_named_twice_is_two_workers,
    a_run_goes_on_to_the_same_bits,
    a_kept_trunk_is_computed_on_all,
    blocks_that_run_twice_have_the_updates_of_one,
    another_first_device_is_refused,
);

/// This device, then the others of the build; where there is no other, this one again.
fn several(device: &Device) -> Vec<Device> {
    let mut all = vec![device.clone()];
    all.extend(devices().into_iter().filter(|other| other != device));
    if all.len() == 1 {
        all.push(device.clone());
    }
    all
}

/// Whether the devices after the first are others.
fn apart(devices: &[Device]) -> bool {
    devices[1..].iter().all(|device| *device != devices[0])
}

#[derive(Default)]
pub(super) struct Log {
    pub(super) steps: Vec<StepReport>,
    /// Bytes of what trained in each step.
    trains: Vec<u64>,
    pub(super) states: Vec<TrainState>,
}

/// The bytes of what trains.
struct Trains(u64);

impl VisitParams for Trains {
    fn visit<const D: usize>(&mut self, _: &ParamPlace, param: &Param<Tensor<D>>) {
        let tensor = param.base();
        if tensor.is_require_grad() {
            self.0 += (tensor.shape().num_elements() * tensor.dtype().size()) as u64;
        }
    }
}

impl<M: Module, R> Observer<M, R> for Log {
    fn on_step(&mut self, report: &StepReport, run: &Progress<'_, M>) -> Result<(), TrainError> {
        let mut trains = Trains(0);
        visit_params(run.model, &mut trains);
        self.trains.push(trains.0);
        self.steps.push(*report);
        self.states.push(run.state());
        Ok(())
    }

    fn on_eval(&mut self, _: &R, _: bool, _: &Progress<'_, M>) -> Result<(), TrainError> {
        Ok(())
    }
}

pub(super) fn run<M: Module>(
    trainer: Trainer<'_, <NextToken as Objective<M>>::Example>,
    model: M,
) -> (BTreeMap<String, TensorData>, Log)
where
    NextToken: Objective<M>,
{
    let mut log = Log::default();
    let trained = trainer.run(model, &NextToken, &mut log).expect("it trains");
    (bits(&trained), log)
}

/// The largest difference of any two numbers.
pub(super) fn apart_by(a: &BTreeMap<String, TensorData>, b: &BTreeMap<String, TensorData>) -> f32 {
    a.iter()
        .flat_map(|(path, data)| data.iter::<f32>().zip(b[path].iter::<f32>()))
        .fold(0.0, |largest, (a, b)| (a - b).abs().max(largest))
}

/// A step's length depends on the size of its gradient, and not on its sign alone.
pub(super) fn smooth(config: TrainConfig) -> TrainConfig {
    TrainConfig {
        epsilon: 1e-3,
        ..config
    }
}

fn every_method_has_the_update_of_one_device(device: &Device) {
    let (rows, devices) = (examples(6), several(device));
    let config = TrainConfig {
        grad_accum: 2,
        ..smooth(config(3, 2))
    };
    for (name, _, attach) in METHODS {
        let device = device.clone().autodiff();
        let mut model: Model = Prompted::new(Prefixed::new(spread(&tiny(), &device)));
        attach(&mut model);
        let model = filled(model);
        let trainer = Trainer::new(&config, &rows);
        let (one, _) = run(trainer, model.clone());
        let (all, log) = run(trainer.with_devices(&devices), model.clone());
        let moved = apart_by(&one, &bits(&model));
        assert!(moved > 1e-4, "{name} moves by {moved}");
        let apart = apart_by(&one, &all);
        assert!(apart < 1e-3 * moved, "{name}: {apart} of {moved}");
        near_to_what_trains(&log, &devices);
    }
}

/// What is sent and received is what trains, once for each device beyond the first.
fn near_to_what_trains(log: &Log, devices: &[Device]) {
    let others = match apart(devices) {
        true => devices.len() as u64 - 1,
        false => 0,
    };
    // What trains first goes with the copy of the model.
    for (at, (step, trains)) in log.steps.iter().zip(&log.trains).enumerate() {
        let expected = trains * others;
        assert_eq!(step.received_bytes, expected, "step {}", step.step);
        let sent = if at == 0 { 0 } else { expected };
        assert_eq!(step.sent_bytes, sent, "step {}", step.step);
    }
}

/// That the losses of fifty steps are alike, by how far they fall.
pub(super) fn same_losses(one: &Log, all: &Log) {
    assert_eq!(one.steps.len(), 50);
    let mean = |steps: &[StepReport]| steps.iter().map(|s| s.loss).sum::<f64>() / 10.0;
    let falls = mean(&one.steps[..10]) - mean(&one.steps[40..]);
    assert!(falls > 0.01, "by {falls}");
    for (one, all) in one.steps.iter().zip(&all.steps) {
        let (step, one, all) = (one.step, one.loss, all.loss);
        let apart = (one - all).abs();
        assert!(apart < 2e-3 * falls, "step {step}: {one} and {all}");
    }
}

fn fifty_steps_of_an_adapter_have_the_losses_of_one(device: &Device) {
    let (rows, devices) = (examples(12), several(device));
    let config = smooth(config(6, 50));
    let trainer = Trainer::new(&config, &rows);
    let (_, one) = run(trainer, adapted(device, 0.0));
    let (_, all) = run(trainer.with_devices(&devices), adapted(device, 0.0));
    same_losses(&one, &all);
    near_to_what_trains(&all, &devices);
}

fn fifty_steps_of_a_prefix_have_the_losses_of_one(device: &Device) {
    let (rows, devices) = (examples(12), several(device));
    let config = TrainConfig {
        learning_rate: 0.1,
        ..smooth(config(6, 50))
    };
    let model = || {
        let mut model = Prefixed::new(spread(&tiny(), &device.clone().autodiff()));
        let config = PrefixConfig::new(4);
        config.attach(&mut model, "default").expect("a prefix");
        filled(model)
    };
    let trainer = Trainer::new(&config, &rows);
    let (_, one) = run(trainer, model());
    let (_, all) = run(trainer.with_devices(&devices), model());
    same_losses(&one, &all);
    near_to_what_trains(&all, &devices);
}

/// What ceases to train is sent once more, as it then is.
fn fifty_steps_of_badam_have_the_losses_of_one(device: &Device) {
    let (rows, devices) = (examples(12), several(device));
    let config = smooth(config(6, 50));
    let model: DecoderForCausalLm = spread(&tiny(), &device.clone().autodiff());
    let badam = BAdam::new(&model, Every::Steps(7), Order::Ascending).expect("blocks");
    let trainer = Trainer::new(&config, &rows).with_strategy(&badam);
    let (one_bits, one) = run(trainer, model.clone());
    let (all_bits, all) = run(trainer.with_devices(&devices), model.clone());
    same_losses(&one, &all);
    assert!(apart_by(&one_bits, &all_bits) < 1e-3 * apart_by(&one_bits, &bits(&model)));
    if apart(&devices) {
        let (trains, others) = (all.trains[0], devices.len() as u64 - 1);
        assert!(all.trains.iter().all(|bytes| *bytes == trains));
        let sent: u64 = all.steps.iter().map(|step| step.sent_bytes).sum();
        // In each step but the first, which copies the model, and what each of seven stages has
        // trained at its end.
        assert_eq!(sent, trains * others * (49 + 7));
        let received = |step: &StepReport| step.received_bytes == trains * others;
        assert!(all.steps.iter().all(received));
    }
}

fn a_device_named_twice_is_two_workers(device: &Device) {
    let rows = examples(9);
    let with = |workers| TrainConfig {
        workers,
        ..config(5, 4)
    };
    let (one, two, three) = (with(1), with(2), with(3));
    let (of_workers, _) = run(Trainer::new(&two, &rows), adapted(device, 0.0));
    let twice = [device.clone(), device.clone()];
    let named = |config, devices| {
        run(
            Trainer::new(config, &rows).with_devices(devices),
            adapted(device, 0.0),
        )
    };
    let (of_devices, log) = named(&one, &twice);
    assert!(of_devices == of_workers);
    near_to_what_trains(&log, &twice);
    // Other shares round otherwise: the comparison can fail.
    let (of_three, _) = named(&three, &twice[..1]);
    assert!(of_three != of_workers);
}

fn a_run_goes_on_to_the_same_bits(device: &Device) {
    let (rows, devices) = (examples(10), several(device));
    let config = config(4, 6);
    let trainer = Trainer::new(&config, &rows).with_devices(&devices);
    let (whole, log) = run(trainer, adapted(device, 0.0));
    for after in [1, 4] {
        let trainer = trainer.with_state(&log.states[after - 1]);
        let (rest, _) = run(trainer, adapted(device, 0.0));
        assert!(rest == whole, "after step {after}");
    }
    // With fewer devices it goes on too, up to rounding.
    let alone = Trainer::new(&config, &rows).with_state(&log.states[3]);
    let (rest, _) = run(alone, adapted(device, 0.0));
    assert!(apart_by(&rest, &whole) < 1e-2 * apart_by(&whole, &bits(&adapted(device, 0.0))));
}

fn a_kept_trunk_is_computed_on_all(device: &Device) {
    let (rows, devices) = (examples(8), several(device));
    let config = smooth(config(4, 8));
    let model: DecoderForCausalLm = spread(&tiny(), &device.clone().autodiff());
    let top = TopLayers::new(&model, 1).expect("a layer");
    let cache = TrunkCache::default();
    let trainer = Trainer::new(&config, &rows).with_strategy(&top);
    let (one, _) = run(trainer, model.clone());
    let trainer = trainer.with_devices(&devices).with_trunk_cache(&cache);
    let (all, log) = run(trainer, model.clone());
    let moved = apart_by(&one, &bits(&model));
    assert!(apart_by(&one, &all) < 1e-3 * moved);
    // A run that goes on computes every row where the whole run did.
    let (rest, _) = run(trainer.with_state(&log.states[4]), model);
    assert!(rest == all);
}

fn blocks_that_run_twice_have_the_updates_of_one(device: &Device) {
    let (rows, devices) = (examples(8), several(device));
    let kept = smooth(config(6, 3));
    let again = TrainConfig {
        recompute: true,
        ..kept.clone()
    };
    let (one, _) = run(Trainer::new(&kept, &rows), adapted(device, 0.0));
    let trainer = Trainer::new(&again, &rows).with_devices(&devices);
    let (all, _) = run(trainer, adapted(device, 0.0));
    let moved = apart_by(&one, &bits(&adapted(device, 0.0)));
    assert!(apart_by(&one, &all) < 1e-3 * moved);
}

fn another_first_device_is_refused(device: &Device) {
    let devices = several(device);
    if !apart(&devices) {
        return;
    }
    let (rows, config) = (examples(4), config(4, 1));
    let others: Vec<Device> = devices.iter().rev().cloned().collect();
    let trainer = Trainer::new(&config, &rows).with_devices(&others);
    let ended = trainer.run(adapted(device, 0.0), &NextToken, &mut Log::default());
    let ended = ended.expect_err("it is refused").to_string();
    assert!(ended.contains("the model is on"), "{ended}");
}
