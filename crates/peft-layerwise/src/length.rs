//! [`Length`]: how many steps a run has.

/// The length of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// Steps in an epoch, at least one.
    pub steps_per_epoch: usize,
    /// Steps in all.
    pub total_steps: usize,
}
