//! One variant of the cached trunk, measured alone in its process: `bench_trunk cached|whole`.
//!
//! Trains the top two of a Llama-shaped model's twelve layers for three epochs and prints `seconds=S peak_kib=N trainable=N loss=X`: the time of an epoch from the
//! second on, the smaller of two. `cargo xtask bench trunk` runs both in turn and compares them.

use std::error::Error;
use std::time::Instant;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use peft_layerwise::TopLayers;
use peft_models::{DecoderConfig, DecoderForCausalLm};
use peft_train::{
    EvalReport, Example, NextToken, Observer, Progress, StepReport, TrainConfig, TrainError,
    Trainer, TrunkCache,
};

const LAYERS: usize = 12;
const TOP: usize = 2;
const ROWS: usize = 16;
const BATCH: usize = 4;
const POSITIONS: usize = 128;
const VOCABULARY: usize = 2000;
const EPOCHS: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let variant = std::env::args().nth(1).unwrap_or_default();
    let cache = match variant.as_str() {
        "cached" => Some(TrunkCache::default()),
        "whole" => None,
        other => return Err(format!("no variant `{other}`; there are cached and whole").into()),
    };
    let device = Device::flex().autodiff();
    device.seed(1);
    let config = DecoderConfig {
        max_positions: POSITIONS,
        ..DecoderConfig::llama(VOCABULARY, 256, 768, LAYERS, 4)
    };
    let model = config.init(&device);
    let top = TopLayers::new(&model, TOP)?;
    let id = |i: usize| ((i * 7919 + 13) % VOCABULARY) as u32;
    let row = |row: usize| {
        let ids = (0..POSITIONS).map(|i| id(row * POSITIONS + i)).collect();
        // A completion behind a prompt: a quarter of the tokens are targets.
        Example::new(
            ids,
            (0..POSITIONS).map(|i| i >= POSITIONS * 3 / 4).collect(),
        )
    };
    let rows: Vec<Example> = (0..ROWS).map(row).collect();
    let settings = TrainConfig {
        epochs: EPOCHS,
        batch_size: BATCH,
        ..TrainConfig::default()
    };
    let mut epochs = Epochs::default();
    let model = Trainer::new(&settings, &rows)
        .with_strategy(&top)
        .with_trunk_cache(cache.as_ref())
        .run(model, &NextToken, &mut epochs)?;
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

impl Observer<DecoderForCausalLm> for Epochs {
    fn on_step(
        &mut self,
        report: &StepReport,
        _: &Progress<'_, DecoderForCausalLm>,
    ) -> Result<(), TrainError> {
        if report.step.is_multiple_of(ROWS / BATCH) {
            self.ends.push(self.begun.elapsed().as_secs_f64());
            eprintln!(
                "epoch {} ended after {:.2} s",
                self.ends.len(),
                self.ends[self.ends.len() - 1]
            );
        }
        self.last_loss = report.loss;
        Ok(())
    }

    fn on_eval(
        &mut self,
        _: &EvalReport,
        _: bool,
        _: &Progress<'_, DecoderForCausalLm>,
    ) -> Result<(), TrainError> {
        Ok(())
    }
}

/// Parameters that require a gradient.
fn trainable(model: &DecoderForCausalLm) -> usize {
    struct Count(usize);
    impl ModuleVisitor for Count {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let base = param.base();
            if base.is_require_grad() {
                self.0 += base.shape().num_elements();
            }
        }
    }
    let mut count = Count(0);
    model.visit(&mut count);
    count.0
}

/// The high-water mark of this process's resident memory.
fn peak_kib() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .ok_or("/proc/self/status has no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
