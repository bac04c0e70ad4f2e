//! [`Evaluations`]: the losses that decide which model of a run is its best.

use serde::{Deserialize, Serialize};

/// What the evaluations of a run have found so far.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Evaluations {
    /// The loss before the first step, where it was evaluated.
    pub before: Option<f64>,
    /// The step and the loss of the best evaluation after a step: the lowest of all, the one before
    /// training included.
    pub best: Option<(usize, f64)>,
    /// How many have come after the best, or after the one before training where none is better.
    #[serde(default)]
    pub waited: usize,
}

impl Evaluations {
    /// The lowest loss so far.
    pub fn lowest(&self) -> Option<f64> {
        self.best.map(|(_, loss)| loss).or(self.before)
    }

    /// Take an evaluation in; whether it is the best.
    pub(super) fn note(&mut self, step: usize, loss: f64) -> bool {
        if step == 0 {
            self.before = Some(loss);
            return false;
        }
        let best = self.lowest().is_none_or(|lowest| loss < lowest);
        match best {
            true => {
                self.best = Some((step, loss));
                self.waited = 0;
            }
            false => self.waited += 1,
        }
        best
    }
}
