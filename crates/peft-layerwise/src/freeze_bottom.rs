//! [`FreezeBottom`]: all but the lowest blocks. *What Would Elsa Do? Freezing Layers During
//! Transformer Fine-Tuning*, Lee, Tang and Lin 2019,
//! [arXiv:1911.03090](https://arxiv.org/abs/1911.03090).

use burn::module::Module;
use peft_core::PeftError;
use serde_json::{Value, json};

use crate::{BlockPlace, Depth, Strategy};

/// All but the embeddings and the first n blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreezeBottom {
    n: usize,
    depth: Depth,
}

impl FreezeBottom {
    /// All but the first `n` blocks of a model; with none, all but the embeddings.
    ///
    /// # Errors
    ///
    /// [`PeftError::LayerCount`] where there are not as many; [`PeftError::NoLayerIndex`] where the
    /// model has no blocks.
    pub fn new<M: Module>(model: &M, n: usize) -> Result<Self, PeftError> {
        let depth = Depth::of(model)?;
        depth.check(n, 0)?;
        Ok(Self { n, depth })
    }
}

impl Strategy for FreezeBottom {
    fn rate(&self, _: usize, path: &str, _: bool) -> Option<f64> {
        let place = self.depth.place(path)?;
        (place >= BlockPlace::Block(self.n)).then_some(1.0)
    }

    fn settings(&self) -> Value {
        json!({ "freeze bottom": self.n })
    }
}
