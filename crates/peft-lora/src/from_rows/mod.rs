//! [`StartFromRows`]: factors that begin with what a model makes of some rows.

mod corda;
mod eva;
mod eva_layers;
mod lora_ga;
mod pca;
mod probe;

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{DType, Tensor};
use peft_core::{AttachReport, PeftError};

pub use probe::InputReader;

use crate::LoraConfig;

/// LoRA whose factors were found by running the model on some of the rows that it is to learn: by
/// [EVA](Self::eva) or [CorDA](Self::corda) of what the layers read, by [LoRA-GA](Self::lora_ga) of
/// the gradients of their weights. The model itself is not changed.
///
/// Rows that are the same give the same factors, so a run that goes on looks again.
#[derive(Debug, Clone)]
pub struct StartFromRows {
    config: LoraConfig,
    /// `A` and `B` by layer; the others begin as they do anyway.
    factors: BTreeMap<String, [Tensor<2>; 2]>,
    settled: bool,
}

impl StartFromRows {
    /// The config, with the ranks that were found.
    pub fn config(&self) -> &LoraConfig {
        &self.config
    }

    /// Whether all directions of EVA had settled.
    pub fn settled(&self) -> bool {
        self.settled
    }

    /// Attach it to `model` under `name`.
    ///
    /// # Errors
    ///
    /// A [`PeftError`], with the model untouched.
    pub fn attach<M: Module>(&self, model: &mut M, name: &str) -> Result<AttachReport, PeftError> {
        self.config.attach_with(model, name, |layer, rank, scale| {
            let found = self.factors.get(&layer.path);
            let factors = match found {
                Some(factors) => factors
                    .each_ref()
                    .map(|of| Tensor::from_data(of.to_data(), (&layer.device, DType::F32))),
                // An embedding, which has nothing to look at.
                None => self.config.init.factors(layer, rank, scale)?,
            };
            self.config.begun(factors, layer, scale)
        })
    }
}
