//! [`Observer`]: who follows a run, shows it and keeps what comes out.

use std::collections::BTreeSet;

use burn::module::Module;
use serde::Serialize;
use serde_json::{Map, Value};

use super::evaluations::Evaluations;
use super::initial_digests::InitialDigests;
use super::stages::Stages;
use super::{TrunkReport, TrunkUse};
use crate::{EvalReport, TrainError, TrainState};

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StepReport {
    /// The step, from 1.
    pub step: usize,
    /// The number of steps of the run.
    pub total_steps: usize,
    /// How many epochs have gone, with the fraction of the current one.
    pub epoch: f64,
    /// Mean loss of the step's targets.
    pub loss: f64,
    /// The learning rate of the step.
    pub learning_rate: f64,
    /// The norm of all gradients before clipping.
    pub grad_norm: f64,
    /// Targets in the step: tokens of a language model, rows of a classifier.
    pub targets: usize,
    /// What the step took, in seconds: without evaluations and what observers do.
    pub seconds: f64,
    /// The multiply-adds of its products, where they are [counted](peft_kernels::multiply_adds);
    /// those of the whole process meanwhile.
    pub multiply_adds: u64,
    /// Bytes of values that went from the first device to the others; the copy of the model that
    /// each gets before its first step is not among them.
    #[serde(skip_serializing_if = "is_zero")]
    pub sent_bytes: u64,
    /// Bytes of gradients that came back.
    #[serde(skip_serializing_if = "is_zero")]
    pub received_bytes: u64,
    /// What sending took, and receiving where it took longest, in seconds; on devices that compute
    /// meanwhile, with the wait for what is received.
    #[serde(skip_serializing_if = "is_nothing")]
    pub moving_seconds: f64,
    /// Targets a second since the run began or resumed.
    pub targets_per_second: f64,
    /// Time left at that speed.
    pub seconds_left: f64,
}

fn is_nothing(seconds: &f64) -> bool {
    *seconds == 0.0
}

fn is_zero(bytes: &u64) -> bool {
    *bytes == 0
}

/// A run between two steps.
pub struct Progress<'a, M> {
    /// The model as it is now, in training.
    pub model: &'a M,
    /// Steps done.
    pub step: usize,
    /// Steps of the run.
    pub total_steps: usize,
    /// Whether the run ends here: all steps are done, or [`TrainConfig::patience`] is at its end.
    ///
    /// [`TrainConfig::patience`]: super::TrainConfig::patience
    pub ends: bool,
    /// What its evaluations have found.
    pub evaluations: Evaluations,
    pub(super) trunk: Option<TrunkUse>,
    pub(super) stages: &'a Stages<'a>,
    pub(super) settings: &'a Map<String, Value>,
    pub(super) given: &'a InitialDigests,
}

impl<M: Module> Progress<'_, M> {
    /// What is kept of a frozen trunk, in a run that [may keep
    /// it](super::Trainer::with_trunk_cache).
    pub fn trunk(&self) -> Option<TrunkUse> {
        self.trunk
    }

    /// The paths of what has trained: what may differ from the model that the run began with.
    pub fn trained(&self) -> &BTreeSet<String> {
        self.stages.touched()
    }

    /// What a run needs to go on from here. It holds handles, not copies: the next update of a
    /// parameter copies it as long as the state is there.
    pub fn state(&self) -> TrainState {
        TrainState::capture(self)
    }
}

/// Follows a run of a model `M`, whose evaluations give reports `R`.
pub trait Observer<M, R = EvalReport> {
    /// Before the first step, once everything has been checked and a state has been put back: until
    /// then a run changes nothing.
    ///
    /// # Errors
    ///
    /// An error ends the run.
    fn on_begin(&mut self, progress: &Progress<'_, M>) -> Result<(), TrainError> {
        let _ = progress;
        Ok(())
    }

    /// After each step, and after its evaluation if there is one.
    ///
    /// # Errors
    ///
    /// An error ends the run.
    fn on_step(
        &mut self,
        report: &StepReport,
        progress: &Progress<'_, M>,
    ) -> Result<(), TrainError>;

    /// After each evaluation; `best` says whether its loss is the lowest so far, which that of an
    /// untrained model (step 0) never is.
    ///
    /// # Errors
    ///
    /// An error ends the run.
    fn on_eval(
        &mut self,
        report: &R,
        best: bool,
        progress: &Progress<'_, M>,
    ) -> Result<(), TrainError>;

    /// Where a device is lost in the step after those that are done: the model is that after them,
    /// as long as its own device is there. The run ends then.
    ///
    /// # Errors
    ///
    /// An error takes the place of the one that ends the run.
    fn on_lost(&mut self, progress: &Progress<'_, M>) -> Result<(), TrainError> {
        let _ = progress;
        Ok(())
    }

    /// Where a stretch of steps begins whose trunk is kept, or is not: in a run that [may keep
    /// it](super::Trainer::with_trunk_cache).
    ///
    /// # Errors
    ///
    /// An error ends the run.
    fn on_trunk(&mut self, report: &TrunkReport) -> Result<(), TrainError> {
        let _ = report;
        Ok(())
    }
}
