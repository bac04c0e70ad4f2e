//! [`TrainConfig`]: the settings of a run.

use serde::{Deserialize, Serialize};

use peft_layerwise::Length;

use super::{Optimizer, Schedule, Warmup};
use crate::{TrainError, WrongSetting};

/// The settings of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainConfig {
    /// How often the rows are gone through; ignored where `max_steps` is given.
    pub epochs: usize,
    /// The number of steps.
    pub max_steps: Option<usize>,
    /// Rows in a batch.
    pub batch_size: usize,
    /// Batches in a step.
    pub grad_accum: usize,
    /// The peak learning rate.
    pub learning_rate: f64,
    /// How it falls.
    pub schedule: Schedule,
    /// How it rises.
    pub warmup: Warmup,
    /// How gradients become updates.
    #[serde(default)]
    pub optimizer: Optimizer,
    /// The decoupled weight decay.
    pub weight_decay: f64,
    /// β₁ and β₂ of AdamW and of Lion, as [`Optimizer::betas`] proposes them.
    pub betas: (f64, f64),
    /// AdamW's ε.
    pub epsilon: f64,
    /// The largest norm of all gradients together; larger ones are scaled down to it.
    pub max_grad_norm: Option<f64>,
    /// Decides the order of rows and the dropout masks.
    pub seed: u64,
    /// Workers on each device, which share the rows of each batch by tokens: on the processor's
    /// cores, most of a small model's operations run on one. The other devices of a run are those
    /// of [`Trainer::with_devices`](super::Trainer::with_devices).
    ///
    /// A run reproduces with the same number of them, but for dropout, whose masks all workers of a
    /// device draw from one generator.
    pub workers: usize,
    /// Keep only what each block reads and run each block again on the way back: less memory, and
    /// a forward pass more. The gradients are the same bits; a projected prefix's are the same up
    /// to rounding, and what is dropped is drawn block by block. A device has one worker
    /// then. Running statistics in a block would move twice: no model of this workspace
    /// has any there.
    #[serde(default)]
    pub recompute: bool,
    /// Evaluate every so many steps, and at the end; only at the end where none.
    pub eval_every: Option<usize>,
    /// Evaluate before the first step too, so that what training does is told from what the model
    /// did.
    pub eval_first: bool,
    /// End after so many evaluations, one after the other, none of which was the best so far.
    #[serde(default)]
    pub patience: Option<usize>,
    /// The measure that tells the best evaluation, as [`Report::measure`](crate::Report::measure)
    /// names it; the loss where none.
    #[serde(default)]
    pub best_by: Option<String>,
}

impl Default for TrainConfig {
    /// Three epochs of batches of 8, AdamW at 2e-4 falling linearly after 3 % of warm-up, gradients
    /// clipped to norm 1.
    fn default() -> Self {
        Self {
            epochs: 3,
            max_steps: None,
            batch_size: 8,
            grad_accum: 1,
            learning_rate: 2e-4,
            schedule: Schedule::Linear,
            warmup: Warmup::Fraction(0.03),
            optimizer: Optimizer::AdamW,
            weight_decay: 0.0,
            betas: (0.9, 0.999),
            epsilon: 1e-8,
            max_grad_norm: Some(1.0),
            seed: 0,
            workers: 1,
            recompute: false,
            eval_every: None,
            eval_first: false,
            patience: None,
            best_by: None,
        }
    }
}

impl TrainConfig {
    /// The length of a run over `n_examples` rows.
    pub fn length(&self, n_examples: usize) -> Length {
        let batches = n_examples.div_ceil(self.batch_size);
        let steps_per_epoch = batches.div_ceil(self.grad_accum);
        let total_steps = self
            .max_steps
            .unwrap_or(self.epochs.saturating_mul(steps_per_epoch));
        Length {
            steps_per_epoch,
            total_steps,
        }
    }

    /// Whether a run over `n_examples` rows gets beyond its warm-up.
    ///
    /// # Errors
    ///
    /// [`TrainError::WarmupWithoutEnd`] where it does not.
    pub fn check_length(&self, n_examples: usize) -> Result<(), TrainError> {
        let total = self.length(n_examples).total_steps;
        let warmup = self.warmup.steps(total);
        match self.warmup {
            Warmup::Steps(1..) if warmup >= total => {
                Err(TrainError::WarmupWithoutEnd { warmup, total })
            }
            Warmup::Steps(_) | Warmup::Fraction(_) => Ok(()),
        }
    }

    /// Whether there is an evaluation after so many steps; there is one at the end in any case.
    pub(super) fn evaluates_after(&self, steps: usize) -> bool {
        self.eval_every
            .is_some_and(|every| steps.is_multiple_of(every))
    }

    /// Whether a run can have these settings.
    ///
    /// # Errors
    ///
    /// [`TrainError::Settings`] with all that cannot be.
    pub fn validate(&self) -> Result<(), TrainError> {
        let mut wrong = Vec::new();
        let mut check = |right: bool, field, value: String, expected| {
            if !right {
                wrong.push(WrongSetting {
                    field,
                    value,
                    expected,
                });
            }
        };
        let counts = [
            ("batch size", self.batch_size),
            ("gradient accumulation", self.grad_accum),
            ("number of workers", self.workers),
            ("number of epochs", self.epochs),
            ("number of steps", self.max_steps.unwrap_or(1)),
            ("evaluation interval", self.eval_every.unwrap_or(1)),
            ("patience", self.patience.unwrap_or(1)),
        ];
        for (field, value) in counts {
            check(value > 0, field, value.to_string(), "at least 1");
        }
        let text = |value: f64| value.to_string();
        let lr = self.learning_rate;
        let rate = lr.is_finite() && lr > 0.0;
        check(rate, "learning rate", text(lr), "above 0, and finite");
        let decay = self.weight_decay;
        // A step takes away this share of a parameter.
        let right = decay.is_finite() && decay >= 0.0 && (!rate || decay * lr < 1.0);
        let expected = "at least 0, and below 1 when it is multiplied by the learning rate";
        check(right, "weight decay", text(decay), expected);
        if let Warmup::Fraction(fraction) = self.warmup {
            let right = (0.0..1.0).contains(&fraction);
            let expected = "a fraction below 1, or a number of steps";
            check(right, "warm-up", text(fraction), expected);
        }
        let norm = self.max_grad_norm.unwrap_or(1.0);
        check(norm > 0.0, "maximal gradient norm", text(norm), "above 0");
        for (field, beta) in [("β₁", self.betas.0), ("β₂", self.betas.1)] {
            let right = (0.0..1.0).contains(&beta);
            check(right, field, text(beta), "at least 0 and below 1");
        }
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(TrainError::Settings { wrong }),
        }
    }
}
