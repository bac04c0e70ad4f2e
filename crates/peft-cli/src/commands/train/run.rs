//! What a run leaves in its directory: settings, metrics, the best and the last adapter, and a
//! state to go on from.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Instant;

use burn::module::Module;
use peft_model::Transformer;
use peft_store::Adaptable;
use peft_train::{
    Evaluations, Observer, Progress, Report, StateDir, StepReport, TrainError, TrainState,
    TrunkReport,
};
use serde_json::{Value, json};

use super::cadence::Cadence;
use super::cost::Cost;
use super::directory::has_begun;
use super::interrupt::Interrupts;
use super::lock::Lock;
use super::metrics::Metrics;
use super::output::{OutputKind, RunOutput};
use super::sampler::{self, Answers};
use super::summary::{self, Outcome, OutputUse, Verdict};
use crate::args::TrainArgs;
use crate::config_file::{RESOLVED, resolved};
use crate::error::CliError;
use crate::progress::Display;
use crate::remote;
use crate::say::say;

/// The best model of the run, in its directory.
pub(super) const BEST: &str = "best";

/// Shows a run and keeps its results.
pub(super) struct Run<'a, M> {
    args: &'a TrainArgs,
    display: Display,
    what: RunOutput,
    states: StateDir,
    cadence: Cadence,
    lock: Option<Lock>,
    /// What is there once the run has begun.
    begun: Option<StartedRun>,
    started: Instant,
    /// The step of the newest state on disk.
    kept: Option<usize>,
    /// The state after the last step, which is kept when everything else is.
    last: Option<TrainState>,
    evaluations: Evaluations,
    speed: Option<f64>,
    /// What a step was planned to cost, and did cost.
    pub(super) cost: Cost,
    /// What the model answers to some rows, where that is to be shown.
    pub(super) sampler: Option<Answers<'a, Adaptable<M>>>,
    /// What has trained, by path.
    touched: BTreeSet<String>,
}

/// What a run holds as long as it goes on.
struct StartedRun {
    metrics: Metrics,
    interrupts: Interrupts,
}

impl<'a, M: Module> Run<'a, M> {
    /// One that has touched nothing yet; `kept` is the step of the state that it goes on from.
    pub(super) fn new(
        args: &'a TrainArgs,
        lock: Option<Lock>,
        kept: Option<usize>,
        save_every: usize,
        what: RunOutput,
    ) -> Self {
        let touched = what.begun_with.iter().cloned().collect();
        Self {
            args,
            display: Display::new(),
            what,
            states: StateDir::new(&args.out),
            cadence: Cadence::new(save_every, Instant::now()),
            lock,
            begun: None,
            started: Instant::now(),
            kept,
            last: None,
            evaluations: Evaluations::default(),
            speed: None,
            cost: Cost::default(),
            sampler: None,
            touched,
        }
    }

    /// Make the directory ready: locked, settings written, metrics of steps after `done` taken out.
    fn begin(&mut self, done: usize) -> Result<(), CliError> {
        let out = &self.args.out;
        if self.lock.is_none() {
            fs::create_dir_all(out).map_err(|source| CliError::Io {
                action: "create",
                path: out.clone(),
                source,
            })?;
            self.lock = Some(Lock::take(out)?);
            if has_begun(out) {
                return Err(CliError::Usage(format!(
                    "another run has begun in {}; name another directory",
                    out.display()
                )));
            }
        }
        // A run that begins anew has no best model yet.
        let best = out.join(BEST);
        if done == 0 && best.exists() {
            fs::remove_dir_all(&best).map_err(|source| CliError::Io {
                action: "remove",
                path: best.clone(),
                source,
            })?;
        }
        write(&out.join(RESOLVED), resolved(self.args)?.as_bytes())?;
        let interrupts = Interrupts::listen().map_err(|source| CliError::Io {
            action: "listen to signals of",
            path: out.clone(),
            source,
        })?;
        self.begun = Some(StartedRun {
            metrics: Metrics::open(out, done, self.args.learning.tensorboard)?,
            interrupts,
        });
        self.started = Instant::now();
        Ok(())
    }

    /// Keep a state.
    fn keep(&mut self, state: &TrainState) -> Result<(), TrainError> {
        self.states.save(state)?;
        self.kept = Some(state.step());
        Ok(())
    }

    /// End the run here if a signal has asked for it, with a state to go on from.
    fn end_if_asked(&mut self, progress: &Progress<'_, Adaptable<M>>) -> Result<(), TrainError> {
        let begun = self.begun.as_ref();
        let Some(signal) = begun.and_then(|begun| begun.interrupts.asked()) else {
            return Ok(());
        };
        if self.kept != Some(progress.step) {
            self.keep(&progress.state())?;
        }
        Err(observed(CliError::Interrupted {
            signal,
            step: progress.step,
            total: progress.total_steps,
            resume: self.resume(),
        }))
    }

    /// The command that goes on from the newest state.
    fn resume(&self) -> String {
        let out = summary::quoted(&self.args.out);
        format!("peft train --resume --out {out}")
    }

    /// What ended the run, with where it can go on from.
    pub(super) fn ended(&self, error: TrainError) -> CliError {
        self.display.end();
        let error = match error {
            TrainError::Observer(error) => match error.downcast::<CliError>() {
                Ok(error) => return *error,
                Err(error) => TrainError::Observer(error),
            },
            error => error,
        };
        match error {
            source @ TrainError::DeviceLost { .. } => CliError::Lost {
                source,
                kept: match self.kept {
                    Some(step) => format!(
                        "the state after step {step} is kept; go on, with the devices that are there, with {}",
                        self.resume()
                    ),
                    None => "no state was kept".into(),
                },
            },
            error @ (TrainError::Diverged { .. } | TrainError::NotFinite { .. }) => {
                let kept = match self.kept {
                    Some(step) => format!(
                        "the last good state, after step {step}, is {}; a run with other settings begins in another directory",
                        self.states.path().display()
                    ),
                    None => "no state was kept".into(),
                };
                CliError::Diverged {
                    source: error,
                    kept,
                }
            }
            error => error.into(),
        }
    }

    /// Keep what was trained, then the state to go on from with more steps, and say how it went.
    pub(super) fn finish(&mut self, model: &Adaptable<M>) -> Result<(), CliError>
    where
        M: Transformer,
    {
        self.display.end();
        self.what.save(model, &self.touched, &self.args.out)?;
        let kept = self.last.take().map(|state| self.states.finish(&state));
        let kept = kept.transpose()?;
        let out = summary::quoted(&self.args.out);
        say!("saved {out}");
        let metrics = self.begun.as_ref().map(|begun| &begun.metrics);
        let outcome = Outcome {
            evaluations: self.evaluations,
            start: self.evaluations.before.or(metrics.and_then(|of| of.first)),
            end: metrics.and_then(|of| of.valid.or(of.recent())),
            measure: self.args.learning.eval_metric.clone(),
            uniform: self.what.uniform,
        };
        let seconds = self.started.elapsed().as_secs_f64();
        summary::show(self.args, &outcome, seconds, self.speed);
        for line in self.cost.line().into_iter().chain(self.cost.moved()) {
            say!("{line}");
        }
        match outcome.verdict() {
            Verdict::Worse(why) => return Err(CliError::Worse { why }),
            Verdict::NoBetter(why) => say!("warning: {why}"),
            Verdict::Good => {}
        }
        let leaves = match &self.what.kind {
            OutputKind::Whole => OutputUse::Model,
            OutputKind::Adapter(config) if config.placement().is_none() => OutputUse::Input,
            OutputKind::Adapter(_) | OutputKind::Norms(_) | OutputKind::Own(_) => {
                OutputUse::Adapter
            }
        };
        say!("go on with");
        for line in summary::commands(self.args, leaves, self.evaluations) {
            say!("  {line}");
        }
        if let Some(state) = kept {
            say!("{}", summary::state(&state));
        }
        Ok(())
    }

    /// What has trained only grows.
    fn note(&mut self, touched: &BTreeSet<String>) {
        if !touched.is_subset(&self.touched) {
            self.touched.extend(touched.iter().cloned());
        }
    }

    fn record(&mut self, line: &Value) -> Result<(), TrainError> {
        match &mut self.begun {
            Some(begun) => begun.metrics.add(line).map_err(observed),
            None => Ok(()),
        }
    }
}

/// An error of the command's own, on its way through the trainer.
fn observed(error: CliError) -> TrainError {
    TrainError::Observer(Box::new(error))
}

/// Written beside, and renamed once it is on disk.
pub(super) fn write(path: &Path, text: &[u8]) -> Result<(), CliError> {
    peft_files::replace(path, text).map_err(|source| CliError::Io {
        action: "write",
        path: path.into(),
        source,
    })
}

impl<M: Transformer, R: Report> Observer<Adaptable<M>, R> for Run<'_, M> {
    fn on_begin(&mut self, progress: &Progress<'_, Adaptable<M>>) -> Result<(), TrainError> {
        self.note(progress.trained());
        self.evaluations = progress.evaluations;
        self.begin(progress.step).map_err(observed)
    }

    fn on_eval(
        &mut self,
        report: &R,
        best: bool,
        progress: &Progress<'_, Adaptable<M>>,
    ) -> Result<(), TrainError> {
        self.display.evaluation(report.loss());
        self.display.line(&format!(
            "step {}: validation loss {:.4}{}{}",
            progress.step,
            report.loss(),
            report
                .headline()
                .iter()
                .filter(|(name, _)| *name != "loss")
                .map(|(name, value)| format!(", {name} {value:.3}"))
                .collect::<String>(),
            match (progress.step, best) {
                (0, _) => " (before training)",
                (_, true) => " (best)",
                (_, false) => "",
            }
        ));
        self.note(progress.trained());
        self.evaluations = progress.evaluations;
        if best {
            self.what
                .save(
                    &progress.model.valid(),
                    &self.touched,
                    &self.args.out.join(BEST),
                )
                .map_err(observed)?;
        }
        self.record(&json!({ "step": progress.step, "best": best, "valid": report }))?;
        if let Some(answers) = &self.sampler {
            let samples = answers(&progress.model.valid())?;
            for sample in &samples {
                self.display.line(&sampler::line(sample));
            }
            self.record(&json!({ "step": progress.step, "samples": samples }))?;
        }
        match progress.step {
            0 => self.end_if_asked(progress),
            _ => Ok(()),
        }
    }

    fn on_step(
        &mut self,
        report: &StepReport,
        progress: &Progress<'_, Adaptable<M>>,
    ) -> Result<(), TrainError> {
        self.display.step(report);
        if report.step == 1 && report.grad_norm == 0.0 {
            self.display.line("warning: every gradient of step 1 is 0, so nothing moves: what trains does not reach the loss, or the loss is 0 already");
        }
        self.note(progress.trained());
        self.speed = Some(report.targets_per_second);
        let mut line = json!({ "step": report.step, "train": report });
        if let Some((sent, received)) = remote::moved() {
            // Of the whole run so far: operations and rows go there too.
            line["network"] = json!({ "sent_bytes": sent, "received_bytes": received });
        }
        self.record(&line)?;
        self.cost.note(report);
        if progress.ends {
            if let Some(cost) = self.cost.as_json() {
                self.record(&json!({ "step": report.step, "cost": cost }))?;
            }
            if report.step < report.total_steps {
                self.display.line(&format!(
                    "ended after step {} of {}: the last {} evaluations were no better",
                    report.step, report.total_steps, progress.evaluations.waited
                ));
            }
            self.last = Some(progress.state());
            return Ok(());
        }
        if self.cadence.is_due(report.step, Instant::now()) {
            self.keep(&progress.state())?;
        }
        self.end_if_asked(progress)
    }

    fn on_lost(&mut self, progress: &Progress<'_, Adaptable<M>>) -> Result<(), TrainError> {
        match self.kept == Some(progress.step) {
            true => Ok(()),
            false => self.keep(&progress.state()),
        }
    }

    fn on_trunk(&mut self, report: &TrunkReport) -> Result<(), TrainError> {
        self.display.line(&match report {
            TrunkReport::Kept { block } => {
                format!("the states before block {block} are computed once for each row")
            }
            TrunkReport::NotKept(reason) => format!("no states are kept: {reason}"),
        });
        Ok(())
    }
}
