//! [`TopLayers`]: the last blocks. *What Would Elsa Do? Freezing Layers During Transformer
//! Fine-Tuning*, Lee, Tang and Lin 2019, [arXiv:1911.03090](https://arxiv.org/abs/1911.03090).

use burn::module::Module;
use peft_core::PeftError;
use serde_json::{Value, json};

use crate::{BlockPlace, Depth, Strategy};

/// The last n blocks and all that is above them: the final norm and the head. A head that is the
/// transposed embedding is part of the input, and stays frozen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopLayers {
    n: usize,
    depth: Depth,
}

impl TopLayers {
    /// The last `n` blocks of a model.
    ///
    /// # Errors
    ///
    /// [`PeftError::LayerCount`] unless there are as many and at least one is asked for;
    /// [`PeftError::NoLayerIndex`] where the model has no blocks.
    pub fn new<M: Module>(model: &M, n: usize) -> Result<Self, PeftError> {
        let depth = Depth::of(model)?;
        depth.check(n, 1)?;
        Ok(Self { n, depth })
    }
}

impl Strategy for TopLayers {
    fn rate(&self, _: usize, path: &str, _: bool) -> Option<f64> {
        let lowest = BlockPlace::Block(self.depth.n_blocks() - self.n);
        let place = self.depth.place(path)?;
        (place >= lowest).then_some(1.0)
    }

    fn settings(&self) -> Value {
        json!({ "top layers": self.n })
    }
}
