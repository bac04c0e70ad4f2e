//! [`TrainState`]: what a run needs beside the model to go on to the same bits.

use burn::optim::ModuleOptimizer;
use burn::tensor::Bytes;
use serde::{Deserialize, Serialize};

use crate::TrainError;

/// The state of a run between two steps. Order of rows, learning rate and dropout masks follow from the settings and the step.
///
/// The optimizer's state is kept by parameter ids, so the model must have the ids it had: keep its parameters as a Burn record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainState {
    /// Steps done.
    pub step: usize,
    /// The lowest validation loss so far.
    pub best_loss: Option<f64>,
    /// The optimizer's state in Burn's format.
    #[serde(skip)]
    pub optimizer: Vec<u8>,
}

impl TrainState {
    pub(super) fn new(
        step: usize,
        best_loss: Option<f64>,
        optimizer: &ModuleOptimizer,
    ) -> Result<Self, TrainError> {
        let bytes = optimizer
            .into_bytes()
            .map_err(|error| TrainError::Observer(Box::new(error)))?;
        Ok(Self {
            step,
            best_loss,
            optimizer: bytes.to_vec(),
        })
    }

    pub(super) fn restore(
        &self,
        optimizer: ModuleOptimizer,
    ) -> Result<ModuleOptimizer, TrainError> {
        optimizer
            .from_bytes(Bytes::from_bytes_vec(self.optimizer.clone()))
            .map_err(|error| TrainError::Observer(Box::new(error)))
    }
}
