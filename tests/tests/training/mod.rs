//! Training, evaluation and generation: what a run does and does not depend on.

mod adapter_schedule;
mod at_once;
mod chat;
mod classify;
mod data;
mod defaults;
mod devices;
mod divergence;
mod evaluation;
mod optimizers;
mod packed;
mod recompute;
mod regularisation;
mod resume;
mod rows;
mod rows_golden;
mod run;
mod shapes;
mod split;
mod statistics;
mod stored;
mod strategy;
mod text_stream;
mod together;
pub(crate) mod tokenizer;
mod vocabulary;

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{Device, TensorData};
use peft_core::{ForwardPath, Placed, Targets};
use peft_lora::LoraConfig;
use peft_models::DecoderForCausalLm;
use peft_train::{
    EvalReport, Example, Observer, Progress, Schedule, StepReport, TrainConfig, TrainError,
    TrainState, Warmup,
};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

use crate::fixture::{filled_adapters, params};
use crate::models::{spread, tiny};

/// Rows of unequal lengths and numbers of targets.
pub(crate) fn examples(n: usize) -> Vec<Example> {
    let row = |i: usize| {
        let length = 3 + (i * 5) % 9;
        let first = 1 + (i * 3) % (length - 1);
        let ids = (0..length)
            .map(|j| ((i * 7 + j * j + 3 * j) % 23) as u32)
            .collect();
        Example::new(ids, (0..length).map(|j| j >= first).collect())
    };
    (0..n).map(row).collect()
}

/// An adapted model on an autodiff device, the same at each call.
pub(crate) fn adapted(device: &Device, dropout: f64) -> DecoderForCausalLm {
    let mut model = spread(&tiny(), &device.clone().autodiff());
    LoraConfig::new(3, 6.0)
        .with_targets(Targets::suffixes(["q_proj", "v_proj", "down_proj"]))
        .with_dropout(dropout)
        .with_path(ForwardPath::Factored)
        .attach(&mut model, "default")
        .expect("it attaches");
    // Not drawn: tests of other threads draw from the same device.
    filled_adapters(model)
}

pub(crate) fn config(batch_size: usize, steps: usize) -> TrainConfig {
    TrainConfig {
        batch_size,
        max_steps: Some(steps),
        learning_rate: 0.02,
        schedule: Schedule::Linear,
        warmup: Warmup::Steps(0),
        seed: 11,
        ..TrainConfig::default()
    }
}

/// Every parameter, bit for bit.
pub(crate) fn bits<M: Module>(model: &M) -> BTreeMap<String, TensorData> {
    let params = params(model).into_iter();
    params.map(|(path, seen)| (path, seen.data)).collect()
}

/// Elements of the moments in a state.
pub(crate) fn moments(state: &TrainState) -> usize {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("state");
    state.save(&path).expect("it is written");
    let bytes = std::fs::read(&path).expect("it is read");
    let tensors = SafeTensors::deserialize(&bytes).expect("tensors");
    let elements = |(name, view): (&str, TensorView<'_>)| {
        let moment = name.starts_with("moment_");
        moment.then(|| view.shape().iter().product::<usize>())
    };
    tensors.iter().filter_map(elements).sum()
}

/// Keeps what a run reports.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) steps: Vec<StepReport>,
    evaluations: Vec<(usize, EvalReport, bool)>,
}

impl<M> Observer<M> for Log {
    fn on_step(&mut self, report: &StepReport, _: &Progress<'_, M>) -> Result<(), TrainError> {
        self.steps.push(*report);
        Ok(())
    }

    fn on_eval(
        &mut self,
        report: &EvalReport,
        best: bool,
        progress: &Progress<'_, M>,
    ) -> Result<(), TrainError> {
        self.evaluations.push((progress.step, *report, best));
        Ok(())
    }
}
