//! Strategies: what trains when, on a small decoder and a small encoder with a head, against lists
//! written by hand.

mod fixed;
mod memory;
mod paths;
mod places;
mod refusals;
mod schedules;
mod trunk;

use std::collections::{BTreeMap, BTreeSet};

use burn::module::Module;
use burn::tensor::{Device, TensorData};
use peft_layerwise::Strategy;
use peft_models::{BertConfig, BertForSequenceClassification, DecoderConfig, DecoderForCausalLm};
use peft_train::{
    ClassExample, Objective, Observer, Progress, StepReport, Target, TrainConfig, TrainError,
    TrainState, Trainer, TrunkCache, TrunkReport, TrunkUse,
};

use crate::fixture::filled;
use crate::models::{encoders, spread, tiny};
use crate::training::bits;

/// Three blocks and an output layer of its own.
fn decoder(tied: bool, device: &Device) -> DecoderForCausalLm {
    let config = DecoderConfig {
        n_layers: 3,
        tie_word_embeddings: tied,
        ..tiny()
    };
    spread(&config, &device.clone().autodiff())
}

fn bert() -> BertConfig {
    BertConfig {
        n_layers: 3,
        ..encoders::bert()
    }
}

/// Three blocks, a pooling layer and a head.
pub(crate) fn encoder(device: &Device) -> BertForSequenceClassification {
    let device = device.clone().autodiff();
    filled(BertForSequenceClassification::new(&bert(), 3, &device))
}

/// Texts of unequal lengths.
pub(crate) fn texts(n: usize) -> Vec<ClassExample> {
    let row = |i: usize| ClassExample {
        types: Vec::new(),
        ids: (0..2 + i * 5 % 7)
            .map(|j| ((i * 3 + j * 7) % 23) as u32)
            .collect(),
        target: Target::Class(i % 3),
    };
    (0..n).map(row).collect()
}

/// What a run did, step by step.
#[derive(Default)]
struct Trail {
    bits: Vec<BTreeMap<String, TensorData>>,
    losses: Vec<f64>,
    states: Vec<TrainState>,
    trunks: Vec<(usize, TrunkReport)>,
    used: Option<TrunkUse>,
}

impl<M: Module, R> Observer<M, R> for Trail {
    fn on_step(&mut self, report: &StepReport, run: &Progress<'_, M>) -> Result<(), TrainError> {
        self.bits.push(bits(run.model));
        self.losses.push(report.loss);
        self.states.push(run.state());
        self.used = run.trunk();
        Ok(())
    }

    fn on_eval(&mut self, _: &R, _: bool, _: &Progress<'_, M>) -> Result<(), TrainError> {
        Ok(())
    }

    fn on_trunk(&mut self, report: &TrunkReport) -> Result<(), TrainError> {
        self.trunks.push((self.losses.len(), *report));
        Ok(())
    }
}

/// A run, and how it is made.
struct Run<'a, O, E> {
    objective: O,
    rows: &'a [E],
    config: TrainConfig,
    strategy: &'a dyn Strategy,
    cache: Option<&'a TrunkCache>,
    state: Option<&'a TrainState>,
}

impl<O, E> Run<'_, O, E> {
    fn of<M: Module>(&self, model: M) -> Trail
    where
        O: Objective<M, Example = E>,
        E: peft_train::TrainExample,
    {
        let mut trail = Trail::default();
        Trainer::new(&self.config, self.rows)
            .with_strategy(self.strategy)
            .with_trunk_cache(self.cache)
            .with_state(self.state)
            .run(model, &self.objective, &mut trail)
            .expect("it trains");
        trail
    }
}

/// The paths whose bits differ.
fn changed(
    before: &BTreeMap<String, TensorData>,
    after: &BTreeMap<String, TensorData>,
) -> BTreeSet<String> {
    let differs =
        |(path, data): (&String, &TensorData)| (before[path] != *data).then(|| path.clone());
    after.iter().filter_map(differs).collect()
}
