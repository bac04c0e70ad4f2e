//! [`BAdam`]: one block after the other. *BAdam: A Memory Efficient Full Parameter Optimization
//! Method for Large Language Models*, Luo, Yu and Li 2024,
//! [arXiv:2404.02827](https://arxiv.org/abs/2404.02827), algorithm 1.

use burn::module::Module;
use peft_core::PeftError;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde::Serialize;
use serde_json::{Value, json};

use crate::lisa::seed;
use crate::{BlockPlace, Depth, Every, Length, Strategy};

/// The order in which blocks train.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// From the input to the output.
    Ascending,
    /// From the output to the input.
    Descending,
    /// Each round another one, drawn by this seed; every block once a round.
    Shuffled(u64),
}

/// One block trains for a stage, with fresh moments, then the next. So gradients and moments are
/// those of one block.
///
/// The embeddings, the final norm and the head do not train, as is the default of the authors'
/// optimizer; [`with_ends`](Self::with_ends) makes them two more blocks. A fresh head can train all
/// the time: `Union::new(badam, Head::new(&model, ["classifier"])?)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BAdam {
    every: Every,
    order: Order,
    ends: bool,
    depth: Depth,
    /// From the input to the output.
    places: Vec<BlockPlace>,
}

impl BAdam {
    /// The blocks of a model in turn.
    ///
    /// # Errors
    ///
    /// [`PeftError::InvalidSetting`] for stages of no length; [`PeftError::NoLayerIndex`] where the
    /// model has no blocks.
    pub fn new<M: Module>(model: &M, every: Every, order: Order) -> Result<Self, PeftError> {
        let depth = Depth::of(model)?;
        let mut places = depth.places();
        places.retain(|place| matches!(place, BlockPlace::Block(_)));
        Ok(Self {
            every: every.check()?,
            order,
            ends: false,
            depth,
            places,
        })
    }

    /// With what is below the blocks as a block, and what is above them as another.
    #[must_use]
    pub fn with_ends(mut self) -> Self {
        self.ends = true;
        self.places = self.depth.places();
        self
    }

    /// What trains in a stage.
    pub fn place(&self, stage: usize) -> BlockPlace {
        let n = self.places.len();
        let (round, turn) = (stage / n, stage % n);
        match self.order {
            Order::Ascending => self.places[turn],
            Order::Descending => self.places[n - 1 - turn],
            Order::Shuffled(drawn) => {
                let mut places = self.places.clone();
                places.shuffle(&mut StdRng::seed_from_u64(seed(drawn, round)));
                places[turn]
            }
        }
    }

    /// How many stages a round has.
    pub fn n_stages(&self) -> usize {
        self.places.len()
    }
}

impl Strategy for BAdam {
    fn stage(&self, step: usize, length: &Length) -> usize {
        self.every.stage(step, length)
    }

    fn rate(&self, stage: usize, path: &str, _: bool) -> Option<f64> {
        let place = self.depth.place(path)?;
        (place == self.place(stage)).then_some(1.0)
    }

    fn keeps_moments(&self) -> bool {
        false
    }

    fn settings(&self) -> Value {
        json!({ "badam": { "every": self.every, "order": self.order, "ends": self.ends } })
    }
}
