//! [`Strategy`]: which parameters train in which step, and how fast.

use serde_json::Value;

use crate::Length;

/// Decides what trains when. A run is cut into stages; in each, a parameter trains at some rate or
/// not at all.
///
/// Everything is a function of the step, so that a run resumes by itself. Gradual unfreezing is
/// stages of so many steps, in each of which more layers have a [`rate`](Self::rate);
/// discriminative learning rates are one stage in which it falls with depth; LISA draws the layers
/// of a stage from a seed and the stage's number; BAdam gives one block after the other a stage and
/// [forgets](Self::keeps_moments) the moments of the others.
pub trait Strategy: Sync {
    /// The stage that `step`, from 0, belongs to; it changes what trains where it is another than
    /// that of the step before. One for all steps where not said otherwise.
    fn stage(&self, step: usize, length: &Length) -> usize {
        let _ = (step, length);
        0
    }

    /// The factor on the learning rate of the parameter at `path` in a stage, or none where it does
    /// not train; `given` says whether it trained in the model that the run was given. Paths are
    /// those of Burn's traversal, with the parameters of adapters.
    fn rate(&self, stage: usize, path: &str, given: bool) -> Option<f64>;

    /// Whether the optimizer keeps the moments of parameters that no longer train, for when they
    /// will again. Without them a parameter begins anew.
    fn keeps_moments(&self) -> bool {
        true
    }

    /// What tells it from others, in the state of a run: it resumes only with the same.
    fn settings(&self) -> Value {
        Value::Null
    }
}

impl<S: Strategy + ?Sized> Strategy for &S {
    fn stage(&self, step: usize, length: &Length) -> usize {
        (**self).stage(step, length)
    }

    fn rate(&self, stage: usize, path: &str, given: bool) -> Option<f64> {
        (**self).rate(stage, path, given)
    }

    fn keeps_moments(&self) -> bool {
        (**self).keeps_moments()
    }

    fn settings(&self) -> Value {
        (**self).settings()
    }
}

/// For a strategy that is chosen at run time.
impl<S: Strategy + ?Sized> Strategy for Box<S> {
    fn stage(&self, step: usize, length: &Length) -> usize {
        (**self).stage(step, length)
    }

    fn rate(&self, stage: usize, path: &str, given: bool) -> Option<f64> {
        (**self).rate(stage, path, given)
    }

    fn keeps_moments(&self) -> bool {
        (**self).keeps_moments()
    }

    fn settings(&self) -> Value {
        (**self).settings()
    }
}
