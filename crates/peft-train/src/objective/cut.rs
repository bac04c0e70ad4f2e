//! [`Cut`]: a loss in two halves, so that the lower one need not be computed again where it is frozen.

use burn::tensor::{Device, Int, Tensor};
use peft_core::Transformer;

use super::Reads;
use super::reads::Alone;

/// What a block of a model reads.
#[derive(Debug, Clone)]
pub struct TrunkStates {
    /// The block; the number of blocks where all have run.
    pub block: usize,
    /// `[batch, positions, d_model]`; any finite values where a row is padded, since no text sees them.
    pub states: Tensor<3>,
}

/// An objective's loss, cut before a block: [`trunk`](Self::trunk) and then [`loss_sum_from`](Self::loss_sum_from) is the objective's own loss, to the bit.
pub trait Cut<M, E>: Sync {
    /// Whether the states of a row are the same in batches that are padded to any length between these.
    fn holds(&self, model: &M, shortest: usize, longest: usize) -> bool;

    /// What `block` reads for these rows, on the device of the model.
    ///
    /// # Shapes
    ///
    /// The result is `[rows, positions, d_model]`, rows padded on the right to the longest one's length.
    ///
    /// # Panics
    ///
    /// If there is no row, or no such block.
    fn trunk(&self, model: &M, rows: &[&E], block: usize, device: &Device) -> TrunkStates;

    /// As [`Objective::loss_sum`](super::Objective::loss_sum), from there.
    ///
    /// # Panics
    ///
    /// If there is no row.
    fn loss_sum_from(
        &self,
        model: &M,
        rows: &[&E],
        trunk: TrunkStates,
        device: &Device,
    ) -> Tensor<1>;
}

/// The states of all positions: from tokens, or from what the trunk gave for them.
pub(crate) fn hidden<M: Transformer>(
    model: &M,
    ids: Tensor<2, Int>,
    segments: Option<Tensor<2, Int>>,
    trunk: Option<TrunkStates>,
) -> Tensor<3> {
    match trunk {
        None => model.hidden(ids, segments, None),
        Some(TrunkStates { block, states }) => {
            let above = block..model.n_blocks();
            model.finish(model.run_blocks(states, above, segments, None))
        }
    }
}

/// The states that a head reads, `[reads, d_model]`: from tokens, or from what the trunk gave for them.
pub(crate) fn states_read<M: Transformer>(
    model: &M,
    ids: Tensor<2, Int>,
    segments: Option<Tensor<2, Int>>,
    reads: &Reads,
    trunk: Option<TrunkStates>,
) -> Tensor<2> {
    let n_blocks = model.n_blocks();
    let all_ran = trunk.as_ref().is_some_and(|trunk| trunk.block == n_blocks);
    let alone = reads.alone.as_ref().filter(|_| !all_ran);
    let Some(Alone { at, flat }) = alone else {
        return flattened(hidden(model, ids, segments, trunk)).select(0, reads.flat.clone());
    };
    let states = match trunk {
        None => model.hidden_at(model.embed_text(ids, 0), segments, at.clone()),
        Some(TrunkStates { block, states }) => {
            let below = block..n_blocks - 1;
            let x = model.run_blocks(states, below, segments.clone(), None);
            model.finish(model.run_last(x, segments, at.clone()))
        }
    };
    flattened(states).select(0, flat.clone())
}

/// [`Cut::trunk`] of a batch.
pub(crate) fn run_trunk<M: Transformer>(
    model: &M,
    ids: Tensor<2, Int>,
    segments: Option<Tensor<2, Int>>,
    block: usize,
) -> TrunkStates {
    let x = model.begin(model.embed_text(ids, 0), 0);
    let states = model.run_blocks(x, 0..block, segments, None);
    TrunkStates { block, states }
}

/// A row for each position, `[batch, positions, width]` to `[batch · positions, width]`.
fn flattened(states: Tensor<3>) -> Tensor<2> {
    let [batch, positions, width] = states.dims();
    states.reshape([batch * positions, width])
}
