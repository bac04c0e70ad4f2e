//! [`Rated`]: learning rates by parameter.

use std::collections::BTreeMap;

use peft_core::PeftError;
use serde_json::{Value, json};

use crate::{Length, Strategy};

/// What another strategy trains, some parameters at a factor of its rate, as LoRA+ has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Rated<S> {
    inner: S,
    factors: BTreeMap<String, f64>,
    settings: Value,
}

impl<S: Strategy> Rated<S> {
    /// `inner` with these factors by path; `settings` tell a resumed run what made them.
    ///
    /// # Errors
    ///
    /// [`PeftError::InvalidSetting`] for a factor that is not above 0.
    pub fn new(
        inner: S,
        factors: BTreeMap<String, f64>,
        settings: Value,
    ) -> Result<Self, PeftError> {
        let wrong = factors
            .iter()
            .find(|(_, factor)| !(**factor > 0.0 && factor.is_finite()));
        if let Some((path, factor)) = wrong {
            return Err(PeftError::InvalidSetting {
                field: format!("the factor on the learning rate of `{path}`"),
                value: factor.to_string(),
                expected: "above 0",
            });
        }
        Ok(Self {
            inner,
            factors,
            settings,
        })
    }
}

impl<S: Strategy> Strategy for Rated<S> {
    fn stage(&self, step: usize, length: &Length) -> usize {
        self.inner.stage(step, length)
    }

    fn rate(&self, stage: usize, path: &str, given: bool) -> Option<f64> {
        let rate = self.inner.rate(stage, path, given)?;
        Some(rate * self.factors.get(path).copied().unwrap_or(1.0))
    }

    fn keeps_moments(&self) -> bool {
        self.inner.keeps_moments()
    }

    fn settings(&self) -> Value {
        json!({ "rated": { "by": self.settings, "of": self.inner.settings() } })
    }
}
