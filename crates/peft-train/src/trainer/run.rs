//! The loop of a [`Trainer`].

use std::time::Instant;

use burn::module::Module;
use burn::tensor::Device;
use peft_core::{acts_in_training_only, edit_all_slots};

use serde_json::Map;

use super::adapter_schedule::{of_adapters, with_penalty};
use super::diverged::{likely_cause, not_finite};
use super::gradients::{SeededWorkers, gradients, training_device};
use super::initial_digests::InitialDigests;
use super::lost::unless_lost;
use super::settings::settings;
use super::stages::Stages;
use super::trunk::Trunks;
use super::workers::{Workers, check_devices};
use super::{
    Divergence, Evaluations, Observer, Progress, StepReport, TrainConfig, TrainState, Trainer,
    clip_global_norm,
};
use crate::batch::plan;
use crate::store::borrowed;
use crate::{Examples, Objective, Report, TrainError, TrainExample};

impl<E: TrainExample> Trainer<'_, E> {
    /// Train a model on an autodiff device, and return it.
    ///
    /// # Errors
    ///
    /// A [`TrainError`]: settings that cannot be, no rows, nothing that trains, a state that does
    /// not fit, something that is no finite number any more, or what the observer returns.
    pub fn run<M, O>(
        &self,
        mut model: M,
        objective: &O,
        observer: &mut impl Observer<M, O::Report>,
    ) -> Result<M, TrainError>
    where
        M: Module,
        O: Objective<M, Example = E>,
    {
        let config = self.config;
        config.validate()?;
        if self.examples.is_empty() || self.valid.is_some_and(Examples::is_empty) {
            return Err(TrainError::NoExamples);
        }
        let length = config.length(self.examples.len());
        let total_steps = length.total_steps;
        let warmup = config.warmup.steps(total_steps);
        config.check_length(self.examples.len())?;
        check_devices(&model, self.devices, config.workers)?;
        let lengths = self.examples.lengths();
        let none = Map::new();
        let settings = settings(
            config,
            self.examples,
            &objective.name(),
            self.strategy,
            self.schedule,
            self.context.unwrap_or(&none),
        );
        let mut stages = Stages::new(self.strategy, config, length, &model);
        if let Some(schedule) = self.schedule {
            stages.touch(&model, |path| schedule.keeps(path));
        }
        let given = InitialDigests::default();
        let (first, mut evaluations) = match self.resume {
            Some(state) => {
                state.check_settings(&settings)?;
                state.check_steps(total_steps)?;
                model = stages.restore(state, model)?;
                (state.step(), state.evaluations().of_old())
            }
            None => (0, Evaluations::default()),
        };
        let evaluate = |model: &M| {
            let evaluate = |valid| objective.evaluate(&model.valid(), valid, config.batch_size);
            self.valid.map(evaluate).transpose()
        };
        let blockwise = objective.blockwise();
        let mut trunks = self
            .trunk
            .filter(|_| self.schedule.is_none())
            .map(|cache| Trunks::new(cache, config, self.examples, &lengths, &model));
        let impatient = |found: &Evaluations| {
            let patience = config.patience;
            patience.is_some_and(|patience| found.waited >= patience)
        };
        macro_rules! progress {
            ($step:expr) => {
                Progress {
                    model: &model,
                    step: $step,
                    total_steps,
                    ends: $step == total_steps || impatient(&evaluations),
                    evaluations,
                    trunk: trunks.as_ref().map(Trunks::used),
                    stages: &stages,
                    settings: &settings,
                    given: &given,
                }
            };
        }
        observer.on_begin(&progress!(first))?;
        if first == 0
            && config.eval_first
            && evaluations.before.is_none()
            && let Some(report) = evaluate(&model)?
        {
            if !report.loss().is_finite() {
                let what = Divergence::Evaluation(report.loss());
                return Err(diverged(&model, 0, what, &[], 0.0));
            }
            let badness = badness(config, &report)?;
            let best = evaluations.note(0, report.loss(), badness);
            observer.on_eval(&report, best, &progress!(0))?;
        }
        let started = Instant::now();
        let mut workers = None;
        let mut targets_seen = 0;
        let mut planned: Option<(usize, Vec<Vec<usize>>)> = None;
        for step in first..total_steps {
            let epoch = step / length.steps_per_epoch;
            let batches = match planned.take() {
                Some((of, batches)) if of == epoch => batches,
                _ => plan(&lengths, config.batch_size, config.seed, epoch),
            };
            let start = (step % length.steps_per_epoch) * config.grad_accum;
            let end = start.saturating_add(config.grad_accum).min(batches.len());
            let (_, batches) = planned.insert((epoch, batches));
            let rows = &batches[start..end];
            let (began, counted) = (Instant::now(), peft_kernels::multiply_adds());

            let begins;
            (model, begins) = stages.before(step, model)?;
            let workers = match &mut workers {
                Some(workers) => workers,
                None => {
                    let own = training_device(&model)?;
                    let changes = self.schedule.is_some();
                    workers.insert(Workers::new(
                        &model,
                        &own,
                        self.devices,
                        self.between,
                        config,
                        changes,
                    ))
                }
            };
            if self.seat.is_some() && step == first {
                let device = &workers.placement().devices()[0];
                self.check_at_once(&model, objective, &rows[0], device)?;
            }
            if let Some(trunks) = trunks.as_mut().filter(|_| begins) {
                let span = |depth: &_| stages.span(step, depth);
                let placement = workers.placement();
                if let Some(report) = trunks.begin(&model, blockwise, step, placement, span)? {
                    observer.on_trunk(&report)?;
                }
            }
            let trunk = trunks.as_ref().and_then(|trunks| trunks.current(blockwise));
            // Dropout draws from the device: seeding by step makes a resumed run draw the same.
            let seed = config.seed.wrapping_add(1 + step as u64);
            let found = unless_lost(self.lost, || {
                workers.seed(seed);
                let found = gradients(
                    &model,
                    objective,
                    self.examples,
                    rows,
                    trunk,
                    config.recompute,
                    SeededWorkers {
                        workers,
                        seed,
                        seat: self.seat,
                    },
                )?;
                let moved = found.moved;
                let (loss, n_targets) = (found.losses, found.n_targets);
                let grads = with_penalty(self.schedule, &model, found.grads);
                let (grad_norm, grads) = clip_global_norm(&model, grads, config.max_grad_norm);
                // Read after the gradients are under way, so that a device which computes meanwhile
                // is waited for once.
                Ok((loss.read(), grad_norm, grads, n_targets, moved))
            });
            let (loss, grad_norm, grads, n_targets, moved) = match found {
                Err(error @ TrainError::DeviceLost { .. }) => {
                    let kept = unless_lost(self.lost, || observer.on_lost(&progress!(step)));
                    return Err(match kept {
                        Err(other) if !matches!(other, TrainError::DeviceLost { .. }) => other,
                        _ => error,
                    });
                }
                found => found?,
            };
            let learning_rate =
                config.learning_rate * config.schedule.factor(step, warmup, total_steps);
            let done = step + 1;
            let what = match (loss.is_finite(), grad_norm.is_finite()) {
                (true, true) => None,
                (true, false) => Some(Divergence::GradNorm(grad_norm)),
                (false, _) => Some(Divergence::Loss(loss)),
            };
            if let Some(what) = what {
                return Err(diverged(&model, done, what, rows, learning_rate));
            }
            let scheduled = self
                .schedule
                .map(|schedule| (schedule, of_adapters(&model, &grads)));
            model = stages.step(learning_rate, model, grads);
            if let Some((schedule, grads)) = scheduled {
                edit_all_slots(&mut model, |slots| {
                    schedule.after_step(step, total_steps, slots, &grads);
                    Ok(())
                })?;
            }

            targets_seen += n_targets;
            let seconds = started.elapsed().as_secs_f64();
            let report = StepReport {
                step: done,
                total_steps,
                epoch: done as f64 / length.steps_per_epoch as f64,
                loss,
                learning_rate,
                grad_norm,
                targets: n_targets,
                seconds: began.elapsed().as_secs_f64(),
                multiply_adds: peft_kernels::multiply_adds() - counted,
                sent_bytes: moved.sent,
                received_bytes: moved.received,
                moving_seconds: moved.seconds,
                targets_per_second: targets_seen as f64 / seconds.max(1e-9),
                seconds_left: seconds / (done - first) as f64 * (total_steps - done) as f64,
            };
            let evaluates = config.evaluates_after(done) || done == total_steps;
            if evaluates && let Some(path) = not_finite(&model, Some(stages.touched())) {
                let what = Divergence::Parameter(path);
                return Err(diverged(&model, done, what, rows, learning_rate));
            }
            if evaluates && let Some(found) = evaluate(&model)? {
                if !found.loss().is_finite() {
                    let what = Divergence::Evaluation(found.loss());
                    return Err(diverged(&model, done, what, rows, learning_rate));
                }
                let badness = badness(config, &found)?;
                let best = evaluations.note(done, found.loss(), badness);
                observer.on_eval(&found, best, &progress!(done))?;
            }
            observer.on_step(&report, &progress!(done))?;
            if evaluates && impatient(&evaluations) {
                break;
            }
        }
        Ok(model)
    }

    /// That the run can go step by step with others: nothing in it draws from the generator of the
    /// device, which all share. What does, dropout for instance, gives a row another loss each
    /// time.
    fn check_at_once<M, O>(
        &self,
        model: &M,
        objective: &O,
        rows: &[usize],
        device: &Device,
    ) -> Result<(), TrainError>
    where
        M: Module,
        O: Objective<M, Example = E>,
    {
        let refused = |reason| Err(TrainError::AtOnce { reason });
        if self.trunk.is_some() {
            return refused("it keeps the states of a frozen trunk, whose blocks do not run");
        }
        if self.devices.len() > 1 {
            return refused("it is on several devices");
        }
        let rows = self.examples.at(&rows[..1])?;
        let rows = borrowed(&rows);
        // Without a graph, which no backward pass would free.
        let untracked = model.clone().no_grad();
        let loss = || objective.loss_sum(&untracked, &rows, device).into_data();
        // What an adapter drops of its input does not show as long as the adapter changes nothing.
        match loss() == loss() && acts_in_training_only(model).is_none() {
            true => Ok(()),
            false => refused(
                "something in it draws at random in training, as dropout does, from what the runs share: it would draw otherwise alone",
            ),
        }
    }
}

/// What an evaluation is compared by.
fn badness(config: &TrainConfig, report: &impl Report) -> Result<f64, TrainError> {
    let name = config.best_by.as_deref();
    report.badness(name).ok_or_else(|| TrainError::Setting {
        field: "measure of the best evaluation",
        value: name.unwrap_or_default().into(),
        expected: "one that an evaluation shows, as `exact-match` of text, `accuracy` or `macro-f1` of labels",
    })
}

/// The end of a run in which something is no finite number any more.
fn diverged<M: Module>(
    model: &M,
    step: usize,
    what: Divergence,
    rows: &[Vec<usize>],
    learning_rate: f64,
) -> TrainError {
    let updates = match what {
        Divergence::Loss(_) | Divergence::GradNorm(_) => step.saturating_sub(1),
        Divergence::Parameter(_) | Divergence::Evaluation(_) => step,
    };
    TrainError::Diverged {
        step,
        what,
        rows: rows.iter().flatten().map(|row| row + 1).collect(),
        cause: likely_cause(model, updates, learning_rate),
    }
}

/// Train what requires gradients in `model`: [`Trainer`] in one call.
///
/// # Errors
///
/// Those of [`Trainer::run`].
pub fn train<M, O>(
    model: M,
    objective: &O,
    examples: &[O::Example],
    valid: Option<&[O::Example]>,
    config: &TrainConfig,
    resume: Option<&TrainState>,
    observer: &mut impl Observer<M, O::Report>,
) -> Result<M, TrainError>
where
    M: Module,
    O: Objective<M>,
{
    Trainer::new(config, examples)
        .with_validation(valid)
        .with_state(resume)
        .run(model, objective, observer)
}
