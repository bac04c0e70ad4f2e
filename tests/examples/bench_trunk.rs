//! One variant of the cached trunk, measured alone in its process:
//! `bench_trunk class-cached|class-whole|completion-cached|completion-whole`.
//!
//! Trains the top two of a model's twelve layers for four epochs and prints
//! `seconds=S peak_kib=N trainable=N loss=X`: the time of an epoch from the second on, the smallest
//! of three. The model is of the size of BERT-base with 4000 tokens, which tells what a text is, or
//! as wide a Llama, which completes texts: of the first the head reads one position a row, of the
//! second an eighth of them. `cargo xtask bench trunk` runs all in turn and compares them.

use std::error::Error;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::Device;
use peft_layerwise::TopLayers;
use peft_models::{Activation, BertConfig, BertForSequenceClassification, DecoderConfig};
use peft_tests::measured::{peak_kib, trainable};
use peft_train::{
    ClassExample, Example, NextToken, Objective, Observer, ProblemType, Progress, Report,
    SequenceClassification, StepReport, Target, TrainConfig, TrainError, TrainExample, Trainer,
    TrunkCache,
};

const LAYERS: usize = 12;
const TOP: usize = 2;
const D_MODEL: usize = 768;
const HEADS: usize = 12;
const VOCABULARY: usize = 4000;
const ROWS: usize = 64;
const BATCH: usize = 32;
const POSITIONS: usize = 128;
const LABELS: usize = 7;
const EPOCHS: usize = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let variant = std::env::args().nth(1).unwrap_or_default();
    let (task, cached) = match variant.split_once('-') {
        Some((task, "cached")) => (task, true),
        Some((task, "whole")) => (task, false),
        _ => return Err(format!("no variant `{variant}`").into()),
    };
    let device = Device::flex().autodiff();
    device.seed(1);
    match task {
        "class" => {
            let bert = BertForSequenceClassification::new(&bert(), LABELS, &device);
            let rows: Vec<ClassExample> = (0..ROWS).map(class).collect();
            let objective = SequenceClassification {
                problem: ProblemType::SingleLabel,
                ..Default::default()
            };
            measure(bert, &objective, &rows, cached)
        }
        "completion" => {
            let config = DecoderConfig {
                max_positions: POSITIONS,
                ..DecoderConfig::llama(VOCABULARY, D_MODEL, 2048, LAYERS, HEADS)
            };
            let rows: Vec<Example> = (0..ROWS).map(completion).collect();
            measure(config.init(&device), &NextToken, &rows, cached)
        }
        other => Err(format!("no task `{other}`; there are class and completion").into()),
    }
}

/// BERT-base but for its vocabulary, and without dropout: with it no states could be kept.
fn bert() -> BertConfig {
    BertConfig {
        vocab_size: VOCABULARY,
        d_model: D_MODEL,
        d_ff: 4 * D_MODEL,
        n_layers: LAYERS,
        n_heads: HEADS,
        max_positions: 512,
        position_offset: 0,
        n_token_types: 2,
        norm_epsilon: 1e-12,
        activation: Activation::Gelu,
        pooler: true,
        hidden_dropout: 0.0,
        attention_dropout: 0.0,
        classifier_dropout: 0.0,
    }
}

fn ids(row: usize) -> Vec<u32> {
    let id = |i: usize| ((i * 7919 + 13) % VOCABULARY) as u32;
    (0..POSITIONS).map(|i| id(row * POSITIONS + i)).collect()
}

fn class(row: usize) -> ClassExample {
    ClassExample {
        ids: ids(row),
        types: Vec::new(),
        target: Target::Class(row % LABELS),
    }
}

fn completion(row: usize) -> Example {
    let targets = (0..POSITIONS).map(|i| i >= POSITIONS * 7 / 8).collect();
    Example::new(ids(row), targets)
}

/// Train, and print the figures.
fn measure<M, O>(
    model: M,
    objective: &O,
    rows: &[O::Example],
    cached: bool,
) -> Result<(), Box<dyn Error>>
where
    M: Module,
    O: Objective<M>,
    O::Example: TrainExample,
{
    let top = TopLayers::new(&model, TOP)?;
    let settings = TrainConfig {
        epochs: EPOCHS,
        batch_size: BATCH,
        ..TrainConfig::default()
    };
    let cache = cached.then(TrunkCache::default);
    let mut epochs = Epochs::default();
    let model = Trainer::new(&settings, rows)
        .with_strategy(&top)
        .with_trunk_cache(cache.as_ref())
        .run(model, objective, &mut epochs)?;
    let later = epochs.ends.windows(2).map(|ends| ends[1] - ends[0]);
    println!(
        "seconds={:.4} peak_kib={} trainable={} loss={:.4}",
        later.fold(f64::INFINITY, f64::min),
        peak_kib()?,
        trainable(&model),
        epochs.last_loss,
    );
    Ok(())
}

/// When epochs ended, in seconds.
struct Epochs {
    begun: Instant,
    ends: Vec<f64>,
    last_loss: f64,
}

impl Default for Epochs {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            ends: Vec::new(),
            last_loss: f64::NAN,
        }
    }
}

impl<M: Module, R: Report> Observer<M, R> for Epochs {
    fn on_step(&mut self, report: &StepReport, _: &Progress<'_, M>) -> Result<(), TrainError> {
        if report.step.is_multiple_of(ROWS / BATCH) {
            self.ends.push(self.begun.elapsed().as_secs_f64());
        }
        self.last_loss = report.loss;
        Ok(())
    }

    fn on_eval(&mut self, _: &R, _: bool, _: &Progress<'_, M>) -> Result<(), TrainError> {
        Ok(())
    }
}
