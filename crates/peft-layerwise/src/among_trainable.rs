//! [`AmongTrainable`]: a strategy that chooses among what trains already.

use serde_json::{Value, json};

use crate::{Length, Strategy};

/// What a strategy trains of the model's own choice: gradual unfreezing of adapters, for instance,
/// and of nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AmongTrainable<S>(
    /// What chooses.
    pub S,
);

impl<S: Strategy> Strategy for AmongTrainable<S> {
    fn stage(&self, step: usize, length: &Length) -> usize {
        self.0.stage(step, length)
    }

    fn rate(&self, stage: usize, path: &str, given: bool) -> Option<f64> {
        self.0.rate(stage, path, given).filter(|_| given)
    }

    fn keeps_moments(&self) -> bool {
        self.0.keeps_moments()
    }

    fn settings(&self) -> Value {
        json!({ "of given": self.0.settings() })
    }
}
