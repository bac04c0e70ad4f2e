//! [`Evaluations`]: the losses that decide which model of a run is its best.

use serde::{Deserialize, Serialize};

/// What the evaluations of a run have found so far.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Evaluations {
    /// The loss before the first step, where it was evaluated.
    pub before: Option<f64>,
    /// The step and the loss of the best evaluation after a step: by its loss, or by the measure
    /// that the run chooses by, better than all others, the one before training included.
    pub best: Option<(usize, f64)>,
    /// How many have come after the best, or after the one before training where none is better.
    #[serde(default)]
    pub waited: usize,
    /// [`Report::badness`](crate::Report::badness) of the best of all.
    #[serde(default)]
    pub least: Option<f64>,
}

impl Evaluations {
    /// The lowest loss so far.
    pub fn lowest(&self) -> Option<f64> {
        self.best.map(|(_, loss)| loss).or(self.before)
    }

    /// The same, where an older state has it, which knew of losses alone.
    pub(super) fn of_old(self) -> Self {
        let least = self.least.or(self.lowest());
        Self { least, ..self }
    }

    /// Take an evaluation in; whether it is the best: of the least `badness`.
    pub(super) fn note(&mut self, step: usize, loss: f64, badness: f64) -> bool {
        let best = self.least.is_none_or(|least| badness < least);
        if best {
            self.least = Some(badness);
        }
        if step == 0 {
            self.before = Some(loss);
            return false;
        }
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
