//! The gradients of a step.

use std::panic::resume_unwind;
use std::thread;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Tensor};

use super::TrainConfig;
use super::recompute::RecomputedLoss;
use super::trunk::Trunk;
use crate::{Objective, TrainError, TrainExample};

/// Spreads the rows of a seed; of Knuth's MMIX.
const MULTIPLIER: u64 = 6_364_136_223_846_793_005;

/// What a step's batches give.
pub(super) struct StepGradients {
    pub(super) losses: StepLosses,
    pub(super) n_targets: usize,
    pub(super) grads: GradientsParams,
}

/// A device whose generator has been seeded for a step.
#[derive(Clone, Copy)]
pub(super) struct SeededDevice<'a> {
    pub(super) device: &'a Device,
    pub(super) seed: u64,
}

/// The losses of a step's parts, each its share of the mean over the whole step; not read yet.
pub(super) struct StepLosses(Vec<Tensor<1>>);

impl StepLosses {
    /// The mean loss over the step's targets.
    pub(super) fn read(self) -> f64 {
        let read = |loss: Tensor<1>| f64::from(loss.into_scalar::<f32>());
        self.0.into_iter().map(read).sum()
    }
}

/// The mean loss over the targets of some batches of examples, and its gradients; from the trunk's
/// states where they are kept.
///
/// # Errors
///
/// Those of the states on disk.
pub(super) fn gradients<M: Module, O: Objective<M>>(
    model: &M,
    objective: &O,
    examples: &[O::Example],
    batches: &[Vec<usize>],
    trunk: Option<Trunk<'_, M, O::Example>>,
    config: &TrainConfig,
    SeededDevice { device, seed }: SeededDevice<'_>,
) -> Result<StepGradients, TrainError> {
    let targets = |row: &usize| examples[*row].n_targets();
    let n_targets: usize = batches.iter().flatten().map(targets).sum();
    let blockwise = objective.blockwise();
    let recomputing = blockwise.filter(|_| config.recompute);
    let of = |model: &M, rows: &[usize]| {
        let states = match &trunk {
            Some(trunk) => Some(trunk.states(model, rows, device)?),
            None => None,
        };
        // What a block drops is drawn twice, for these rows as for no others.
        let seed = rows.iter().fold(seed, |seed, row| {
            seed.wrapping_mul(MULTIPLIER).wrapping_add(*row as u64)
        });
        let rows: Vec<&O::Example> = rows.iter().map(|row| &examples[*row]).collect();
        if let Some(objective) = recomputing {
            let part = RecomputedLoss {
                model,
                objective,
                rows: &rows,
                n_targets,
                seed,
                device,
            };
            return Ok(part.gradients(states));
        }
        let part = match (states, blockwise) {
            (Some(states), Some(blockwise)) => {
                blockwise.loss_sum_from(model, &rows, states, device)
            }
            _ => objective.loss_sum(model, &rows, device),
        };
        let part = part.div_scalar(n_targets as f64);
        let loss = part.clone().inner();
        let grads = GradientsParams::from_grads(part.backward(), model);
        Ok::<_, TrainError>((loss, grads))
    };
    // Threads would draw from one generator, and each block draws what it drew before.
    let workers = match recomputing {
        Some(_) => 1,
        None => config.workers,
    };
    let mut accumulator = GradientsAccumulator::new();
    let mut losses = Vec::with_capacity(batches.len());
    for batch in batches {
        let parts: Vec<&[usize]> = batch.chunks(batch.len().div_ceil(workers)).collect();
        let results = match parts.as_slice() {
            [whole] => vec![of(model, whole)],
            parts => thread::scope(|scope| {
                let threads: Vec<_> = parts
                    .iter()
                    .map(|part| {
                        // Leaves of its own: threads would wait for each other in a graph that they
                        // share.
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
        for result in results {
            let (loss, grads) = result?;
            losses.push(loss);
            accumulator.accumulate(model, grads);
        }
    }
    Ok(StepGradients {
        losses: StepLosses(losses),
        n_targets,
        grads: accumulator.grads(),
    })
}

/// The autodiff device of the parameters that train.
pub(super) fn training_device<M: Module>(model: &M) -> Result<Device, TrainError> {
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
