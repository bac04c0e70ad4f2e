//! [`Discriminative`]: learning rates that fall with depth, `η_l = η · decay^(L − l)`. *Universal
//! Language Model Fine-tuning for Text Classification*, Howard and Ruder 2018,
//! [arXiv:1801.06146](https://arxiv.org/abs/1801.06146), who choose a decay of 1 / 2.6.

use burn::module::Module;
use peft_core::PeftError;
use serde_json::{Value, json};

use crate::{BlockPlace, Depth, Length, Strategy};

/// What another strategy trains, each block slower by a factor than the one above it.
///
/// What is above the blocks has the inner strategy's rate, the last of n blocks `decay` times that,
/// the first `decayⁿ`, what is below `decayⁿ⁺¹`.
#[derive(Debug, Clone, PartialEq)]
pub struct Discriminative<S> {
    inner: S,
    decay: f64,
    depth: Depth,
}

impl<S: Strategy> Discriminative<S> {
    /// `inner` with rates that fall by `decay` from block to block.
    ///
    /// # Errors
    ///
    /// [`PeftError::InvalidSetting`] unless the factor is above 0 and at most 1;
    /// [`PeftError::NoLayerIndex`] where the model has no blocks.
    pub fn new<M: Module>(model: &M, inner: S, decay: f64) -> Result<Self, PeftError> {
        if !(decay > 0.0 && decay <= 1.0) {
            return Err(PeftError::InvalidSetting {
                field: "the decay of the learning rate".into(),
                value: decay.to_string(),
                expected: "above 0 and at most 1",
            });
        }
        let depth = Depth::of(model)?;
        Ok(Self {
            inner,
            decay,
            depth,
        })
    }
}

impl<S: Strategy> Strategy for Discriminative<S> {
    fn stage(&self, step: usize, length: &Length) -> usize {
        self.inner.stage(step, length)
    }

    fn rate(&self, stage: usize, path: &str, given: bool) -> Option<f64> {
        let n = self.depth.n_blocks();
        let below_the_top = match self.depth.place(path)? {
            BlockPlace::Above => 0,
            BlockPlace::Block(index) => n - index,
            BlockPlace::Below => n + 1,
        };
        let rate = self.inner.rate(stage, path, given)?;
        Some(rate * self.decay.powi(below_the_top as i32))
    }

    fn keeps_moments(&self) -> bool {
        self.inner.keeps_moments()
    }

    fn settings(&self) -> Value {
        json!({ "discriminative": { "decay": self.decay, "of": self.inner.settings() } })
    }
}
