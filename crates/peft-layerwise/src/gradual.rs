//! [`Gradual`]: one more block at a time. *Universal Language Model Fine-tuning for Text
//! Classification*, Howard and Ruder 2018, [arXiv:1801.06146](https://arxiv.org/abs/1801.06146).

use burn::module::Module;
use peft_core::PeftError;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{BlockPlace, Depth, Every, Length, Strategy};

/// Where unfreezing begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The output: what is above the blocks first, the embeddings last, as in ULMFiT.
    Top,
    /// The input: the embeddings first, what is above the blocks last.
    Bottom,
}

/// Unfreezes one place after the other, until all train: what is above the blocks, each block, what
/// is below them.
///
/// With fewer stages than places the run ends before all train.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gradual {
    from: Side,
    every: Every,
    depth: Depth,
    /// In the order in which they are unfrozen.
    order: Vec<BlockPlace>,
}

impl Gradual {
    /// Unfreeze the next place of a model after each stage.
    ///
    /// # Errors
    ///
    /// [`PeftError::InvalidSetting`] for stages of no length; [`PeftError::NoLayerIndex`] where the
    /// model has no blocks.
    pub fn new<M: Module>(model: &M, from: Side, every: Every) -> Result<Self, PeftError> {
        let depth = Depth::of(model)?;
        let mut order = depth.places();
        if from == Side::Top {
            order.reverse();
        }
        Ok(Self {
            from,
            every: every.check()?,
            depth,
            order,
        })
    }

    /// How many stages there are until all trains.
    pub fn n_stages(&self) -> usize {
        self.order.len()
    }
}

impl Strategy for Gradual {
    fn stage(&self, step: usize, length: &Length) -> usize {
        self.every.stage(step, length).min(self.order.len() - 1)
    }

    fn rate(&self, stage: usize, path: &str, _: bool) -> Option<f64> {
        let place = self.depth.place(path)?;
        self.order[..=stage].contains(&place).then_some(1.0)
    }

    fn settings(&self) -> Value {
        json!({ "gradual": { "from": self.from, "every": self.every } })
    }
}
