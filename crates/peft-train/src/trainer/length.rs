//! [`Length`]: how many steps a run has.

use super::TrainConfig;

/// The length of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// Steps in an epoch.
    pub steps_per_epoch: usize,
    /// Steps in all.
    pub total_steps: usize,
}

impl Length {
    /// The length of a run over `n_examples` rows.
    pub fn new(config: &TrainConfig, n_examples: usize) -> Self {
        let batches = n_examples.div_ceil(config.batch_size);
        let steps_per_epoch = batches.div_ceil(config.grad_accum);
        let total_steps = config
            .max_steps
            .unwrap_or(config.epochs.saturating_mul(steps_per_epoch));
        Self {
            steps_per_epoch,
            total_steps,
        }
    }
}
