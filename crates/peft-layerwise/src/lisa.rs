//! [`Lisa`]: random blocks, drawn anew. *LISA: Layerwise Importance Sampling for Memory-Efficient
//! Large Language Model Fine-Tuning*, Pan et al. 2024,
//! [arXiv:2403.17919](https://arxiv.org/abs/2403.17919), algorithm 1.

use burn::module::Module;
use peft_core::PeftError;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::index::sample;
use serde_json::{Value, json};

use crate::{BlockPlace, Depth, Every, Length, Strategy};

/// What is below and above the blocks always, and a few random blocks, drawn anew for each stage.
///
/// As in the authors' trainer, the optimizer forgets the moments of blocks that stop training and
/// keeps those of what always trains. A block that is drawn twice in a row never stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lisa {
    layers: usize,
    every: Every,
    seed: u64,
    depth: Depth,
}

impl Lisa {
    /// `layers` blocks of a model in each stage, drawn by `seed`.
    ///
    /// # Errors
    ///
    /// [`PeftError::LayerCount`] unless there are as many and at least one is asked for;
    /// [`PeftError::InvalidSetting`] for stages of no length; [`PeftError::NoLayerIndex`] where the
    /// model has no blocks.
    pub fn new<M: Module>(
        model: &M,
        layers: usize,
        every: Every,
        seed: u64,
    ) -> Result<Self, PeftError> {
        let depth = Depth::of(model)?;
        depth.check(layers, 1)?;
        Ok(Self {
            layers,
            every: every.check()?,
            seed,
            depth,
        })
    }

    /// The blocks that train in a stage, in their order.
    pub fn blocks(&self, stage: usize) -> Vec<usize> {
        let mut rng = StdRng::seed_from_u64(seed(self.seed, stage));
        let mut blocks = sample(&mut rng, self.depth.n_blocks(), self.layers).into_vec();
        blocks.sort_unstable();
        blocks
    }
}

/// A seed of its own for each draw.
pub(crate) fn seed(seed: u64, draw: usize) -> u64 {
    seed ^ (draw as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

impl Strategy for Lisa {
    fn stage(&self, step: usize, length: &Length) -> usize {
        self.every.stage(step, length)
    }

    fn rate(&self, stage: usize, path: &str, _: bool) -> Option<f64> {
        let trains = match self.depth.place(path)? {
            BlockPlace::Block(index) => self.blocks(stage).contains(&index),
            BlockPlace::Below | BlockPlace::Above => true,
        };
        trains.then_some(1.0)
    }

    fn keeps_moments(&self) -> bool {
        false
    }

    fn settings(&self) -> Value {
        json!({ "lisa": { "layers": self.layers, "every": self.every, "seed": self.seed } })
    }
}
