//! [`train`]: the loop.

use std::panic::resume_unwind;
use std::thread;
use std::time::Instant;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{AdamWConfig, GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Tensor};
use peft_models::CausalLm;

use super::state::settings;
use super::{Observer, Progress, StepReport, TrainConfig, TrainState, clip_global_norm};
use crate::batch::plan;
use crate::{Batch, Example, TrainError, evaluate, target_nll};

/// The length of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// Steps in an epoch.
    pub steps_per_epoch: usize,
    /// Steps in all.
    pub total_steps: usize,
}

impl Length {
    /// The length of a run over `n_examples` rows.
    pub fn new(config: &TrainConfig, n_examples: usize) -> Self {
        let batches = n_examples.div_ceil(config.batch_size);
        let steps_per_epoch = batches.div_ceil(config.grad_accum);
        let total_steps = config
            .max_steps
            .unwrap_or(config.epochs.saturating_mul(steps_per_epoch));
        Self {
            steps_per_epoch,
            total_steps,
        }
    }
}

/// Train what requires gradients in `model`, on an autodiff device, and return it.
///
/// A step's loss is the sum over its targets divided by their number, whatever the batches they came in: two half batches give the update of
/// the whole one. `valid` is evaluated at the intervals of the config and at the end. A run resumed from a
/// [`TrainState`], on a model prepared as for the first, gives the bits of one that was not interrupted.
///
/// # Errors
///
/// A [`TrainError`]: settings that cannot be, a loss that is no number, or what the observer returns.
pub fn train<M: CausalLm>(
    mut model: M,
    examples: &[Example],
    valid: Option<&[Example]>,
    config: &TrainConfig,
    resume: Option<&TrainState>,
    observer: &mut impl Observer<M>,
) -> Result<M, TrainError> {
    config.validate()?;
    let device = training_device(&model)?;
    let length = Length::new(config, examples.len());
    let warmup = config.warmup.steps(length.total_steps);
    let mut optimizer = AdamWConfig::new()
        .with_beta_1(config.betas.0 as f32)
        .with_beta_2(config.betas.1 as f32)
        .with_epsilon(config.epsilon as f32)
        .with_weight_decay(config.weight_decay as f32)
        .init();
    let settings = settings(config, examples);
    let (first, mut best_loss) = match resume {
        Some(state) => {
            (model, optimizer) = state.restore(model, optimizer, &settings)?;
            (state.step(), state.best_loss())
        }
        None => (0, None),
    };
    let started = Instant::now();
    let mut tokens_seen = 0;
    let mut planned: Option<(usize, Vec<Vec<usize>>)> = None;
    for step in first..length.total_steps {
        let epoch = step / length.steps_per_epoch;
        let batches = match planned.take() {
            Some((of, batches)) if of == epoch => batches,
            _ => plan(examples, config.batch_size, config.seed, epoch),
        };
        let start = (step % length.steps_per_epoch) * config.grad_accum;
        let micro = &batches[start..(start + config.grad_accum).min(batches.len())];
        // Dropout draws from the device: seeding by step makes a resumed run draw the same.
        device.seed(config.seed.wrapping_add(1 + step as u64));
        let (loss, n_targets, grads) = gradients(&model, examples, micro, config.workers, &device);
        if !loss.is_finite() {
            return Err(TrainError::Diverged {
                step: step + 1,
                loss,
            });
        }
        let (grad_norm, grads) = clip_global_norm(&model, grads, config.max_grad_norm);
        let learning_rate =
            config.learning_rate * config.schedule.factor(step, warmup, length.total_steps);
        model = optimizer.step(learning_rate, model, grads);
        planned = Some((epoch, batches));

        tokens_seen += n_targets;
        let seconds = started.elapsed().as_secs_f64();
        let done = step + 1;
        let report = StepReport {
            step: done,
            total_steps: length.total_steps,
            epoch: done as f64 / length.steps_per_epoch as f64,
            loss,
            learning_rate,
            grad_norm,
            target_tokens: n_targets,
            tokens_per_second: tokens_seen as f64 / seconds.max(1e-9),
            seconds_left: seconds / (done - first) as f64 * (length.total_steps - done) as f64,
        };
        let last = done == length.total_steps;
        let due = config
            .eval_every
            .is_some_and(|every| done.is_multiple_of(every));
        let evaluated = match valid {
            Some(valid) if due || last => Some(evaluate(&model.valid(), valid, config.batch_size)),
            _ => None,
        };
        let best = evaluated
            .as_ref()
            .is_some_and(|report| best_loss.is_none_or(|best| report.loss < best));
        if best {
            best_loss = evaluated.as_ref().map(|report| report.loss);
        }
        let progress = Progress {
            model: &model,
            step: done,
            optimizer: &optimizer,
            best_loss,
            settings: &settings,
        };
        if let Some(report) = evaluated {
            observer.on_eval(&report, best, &progress)?;
        }
        observer.on_step(&report, &progress)?;
    }
    Ok(model)
}

/// The mean loss over the targets of some batches, how many those are, and its gradients.
fn gradients<M: CausalLm>(
    model: &M,
    examples: &[Example],
    micro: &[Vec<usize>],
    workers: usize,
    device: &Device,
) -> (f64, usize, GradientsParams) {
    let n_targets: usize = micro
        .iter()
        .flatten()
        .map(|i| examples[*i].n_targets())
        .sum();
    let of = |model: &M, rows: &[usize]| {
        let rows: Vec<&Example> = rows.iter().map(|i| &examples[*i]).collect();
        let batch = Batch::new(&rows, device);
        let part = target_nll(model, &batch).sum().div_scalar(n_targets as f64);
        let loss = f64::from(part.clone().into_scalar::<f32>());
        (loss, GradientsParams::from_grads(part.backward(), model))
    };
    let mut accumulator = GradientsAccumulator::new();
    let mut loss = 0.0;
    for batch in micro {
        let parts: Vec<&[usize]> = batch.chunks(batch.len().div_ceil(workers)).collect();
        let results = match parts.as_slice() {
            [whole] => vec![of(model, whole)],
            parts => thread::scope(|scope| {
                let threads: Vec<_> = parts
                    .iter()
                    .map(|part| {
                        // Leaves of its own: threads would wait for each other in a graph that they share.
                        let model = model.clone().fork(device);
                        let of = &of;
                        scope.spawn(move || of(&model, part))
                    })
                    .collect();
                // In their order, whichever is done first: a sum depends on it.
                threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
                    .collect()
            }),
        };
        for (part, grads) in results {
            loss += part;
            accumulator.accumulate(model, grads);
        }
    }
    (loss, n_targets, accumulator.grads())
}

/// The autodiff device of the parameters that train.
fn training_device<M: Module>(model: &M) -> Result<Device, TrainError> {
    struct Find(Option<Device>);
    impl ModuleVisitor for Find {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if self.0.is_none() && param.base().is_require_grad() {
                self.0 = Some(param.base().device());
            }
        }
    }
    let mut find = Find(None);
    model.visit(&mut find);
    find.0.ok_or(TrainError::NothingTrains)
}
