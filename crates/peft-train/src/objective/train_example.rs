//! [`TrainExample`]: what the loop asks of a row of training data.

use peft_core::Digest;

/// A row as tokens, with its targets.
pub trait TrainExample: Clone + Sync {
    /// How many tokens it has; rows of similar length share a batch.
    fn length(&self) -> usize;

    /// How many targets it has, at least one: a step's loss is the sum over its targets divided by
    /// their number.
    fn n_targets(&self) -> usize;

    /// Take in all that decides what is learned from it: a run resumes only on the same examples.
    fn digest(&self, digest: &mut Digest);
}
