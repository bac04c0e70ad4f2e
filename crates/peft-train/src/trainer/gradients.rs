//! The gradients of a step.

use std::panic::resume_unwind;
use std::thread;
use std::time::Instant;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Tensor};
use peft_kernels::{Gathering, Place};

use super::at_once::RunSeat;
use super::recompute::RecomputedLoss;
use super::replica::brought;
use super::trunk::Trunk;
use super::workers::Workers;
use crate::batch::shares;
use crate::store::borrowed;
use crate::{Examples, Objective, TrainError};

/// Spreads the rows of a seed; of Knuth's MMIX.
const MULTIPLIER: u64 = 6_364_136_223_846_793_005;

/// What a step's batches give.
pub(super) struct StepGradients {
    pub(super) losses: StepLosses,
    pub(super) n_targets: usize,
    pub(super) grads: GradientsParams,
    pub(super) moved: Moved,
}

/// What a step moved between the first device and those that share its rows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moved {
    /// Bytes of values that went to the others.
    pub(super) sent: u64,
    /// Bytes of gradients that came from there.
    pub(super) received: u64,
    /// What sending took, and of what each worker received the longest.
    pub(super) seconds: f64,
}

/// The workers of a step, whose devices have been seeded by `seed`.
pub(super) struct SeededWorkers<'a, M> {
    pub(super) workers: &'a mut Workers<M>,
    pub(super) seed: u64,
    /// Of the run among others, if it is.
    pub(super) seat: Option<&'a RunSeat>,
}

/// What one worker gives: its losses, the sum of its gradients, and the bytes that brought them to
/// the first device.
struct WorkerGradients {
    losses: Vec<Tensor<1>>,
    grads: GradientsParams,
    received: u64,
    /// What that took.
    seconds: f64,
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
/// Each worker sums the gradients of its shares of the batches, in their order; these sums are
/// added in the order of the workers, on the first device.
///
/// # Errors
///
/// Those of the states and the examples on disk.
pub(super) fn gradients<M: Module, O: Objective<M>>(
    model: &M,
    objective: &O,
    examples: Examples<'_, O::Example>,
    batches: &[Vec<usize>],
    trunk: Option<Trunk<'_, M, O::Example>>,
    recompute: bool,
    SeededWorkers {
        workers,
        seed,
        seat,
    }: SeededWorkers<'_, M>,
) -> Result<StepGradients, TrainError> {
    let targets = |row: &usize| examples.n_targets(*row);
    let n_targets: usize = batches.iter().flatten().map(targets).sum();
    let blockwise = objective.blockwise();
    let began = Instant::now();
    let (models, sent) = workers.models(model);
    let sending = began.elapsed().as_secs_f64();
    let placement = workers.placement();
    let devices = placement.devices();
    let of = |models: &[M], place: usize, rows: &[usize]| {
        let (model, device) = (&models[place], &devices[place]);
        let states = match &trunk {
            Some(trunk) => Some(trunk.states(models, devices, place, rows)?),
            None => None,
        };
        // What a block drops is drawn twice, for these rows as for no others.
        let seed = rows.iter().fold(seed, |seed, row| {
            seed.wrapping_mul(MULTIPLIER).wrapping_add(*row as u64)
        });
        let rows = examples.at(rows)?;
        let rows = borrowed(&rows);
        if let Some(objective) = blockwise.filter(|_| recompute) {
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
    let length = |row: usize| examples.length(row);
    let shares: Vec<Vec<&[usize]>> = batches
        .iter()
        .map(|batch| shares(batch, length, placement.n_workers()))
        .collect();
    let work = |worker: usize, models: &[M]| {
        let place = placement.place(worker);
        let mut sum = GradientsAccumulator::new();
        let mut losses = Vec::with_capacity(shares.len());
        for rows in shares.iter().filter_map(|shares| shares.get(worker)) {
            Gathering::begin_anew();
            let (loss, grads) = of(models, place, rows)?;
            losses.push(loss);
            sum.accumulate(&models[place], grads);
        }
        let began = Instant::now();
        let (grads, received) = match place {
            0 => (sum.grads(), 0),
            _ => brought(&models[place], sum.grads(), placement.way_home()),
        };
        Ok::<_, TrainError>(WorkerGradients {
            losses,
            grads,
            received,
            seconds: began.elapsed().as_secs_f64(),
        })
    };
    let busy = shares.iter().map(Vec::len).max().unwrap_or(0);
    let mut places = seat
        .map_or_else(Vec::new, |seat| seat.begin_step(busy.max(1)))
        .into_iter();
    let work = |worker: usize, models: &[M], place: Option<Place>| match place {
        Some(place) => place.take(|| work(worker, models)),
        None => work(worker, models),
    };
    // Leaves of its own: threads, and runs at once, would wait for each other in a graph that they
    // share.
    let forked = || -> Vec<M> {
        let fork = |(model, device): (&M, &_)| model.clone().fork(device);
        models.iter().zip(devices).map(fork).collect()
    };
    let results = match busy {
        0 | 1 if seat.is_some() => vec![work(0, &forked(), places.next())],
        0 | 1 => vec![work(0, &models, None)],
        busy => thread::scope(|scope| {
            let threads: Vec<_> = (0..busy)
                .map(|worker| {
                    let models = forked();
                    let (work, place) = (&work, places.next());
                    scope.spawn(move || work(worker, &models, place))
                })
                .collect();
            // In their order, whichever is done first: a sum depends on it.
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
                .collect()
        }),
    };
    let mut sum = GradientsAccumulator::new();
    let (mut losses, mut received, mut receiving) = (Vec::new(), 0, 0.0);
    for result in results {
        let of_worker = result?;
        losses.extend(of_worker.losses);
        sum.accumulate(model, of_worker.grads);
        received += of_worker.received;
        receiving = f64::max(receiving, of_worker.seconds);
    }
    Ok(StepGradients {
        losses: StepLosses(losses),
        n_targets,
        grads: sum.grads(),
        moved: Moved {
            sent,
            received,
            seconds: match workers.placement().devices().len() {
                1 => 0.0,
                _ => sending + receiving,
            },
        },
    })
}

/// The autodiff device that a model reads its tokens on: its first one, if its blocks are on
/// several.
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
    let trains = find.0.ok_or(TrainError::NothingTrains)?;
    let first = model.devices().into_iter().next();
    Ok(first.map_or(trains.clone(), |first| {
        first.with_autodiff_context_from(&trains)
    }))
}
