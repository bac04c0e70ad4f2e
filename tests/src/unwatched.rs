//! [`Unwatched`]: a run that nobody follows.

use peft_train::{Observer, Progress, StepReport, TrainError};

/// Follows a run and does nothing.
#[derive(Debug, Clone, Copy)]
pub struct Unwatched;

impl<M, R> Observer<M, R> for Unwatched {
    fn on_step(&mut self, _: &StepReport, _: &Progress<'_, M>) -> Result<(), TrainError> {
        Ok(())
    }

    fn on_eval(&mut self, _: &R, _: bool, _: &Progress<'_, M>) -> Result<(), TrainError> {
        Ok(())
    }
}
