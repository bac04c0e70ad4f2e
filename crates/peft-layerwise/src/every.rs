//! [`Every`]: how long a stage is.

use peft_core::PeftError;
use serde::Serialize;

use crate::Length;

/// The length of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Every {
    /// So many steps.
    Steps(usize),
    /// So many epochs.
    Epochs(usize),
}

impl Every {
    /// The stage of a step, from 0.
    pub(crate) fn stage(self, step: usize, length: &Length) -> usize {
        step / match self {
            Self::Steps(steps) => steps,
            Self::Epochs(epochs) => epochs.saturating_mul(length.steps_per_epoch),
        }
    }

    /// That there is a stage at all.
    pub(crate) fn check(self) -> Result<Self, PeftError> {
        match self {
            Self::Steps(0) | Self::Epochs(0) => Err(PeftError::InvalidSetting {
                field: "the length of a stage".into(),
                value: "0".into(),
                expected: "at least 1",
            }),
            every => Ok(every),
        }
    }
}
