//! [`BlockwiseLoss`]: a loss in two halves, so that the lower one need not be computed again where
//! it is frozen.

use std::ops::Range;

use burn::tensor::{Device, Int, Tensor};
use peft_model::{Context, Pass, Read, Stages, Transformer};

use super::ReadPositions;
use super::read_positions::QueryPositions;

/// What a block of a model reads.
#[derive(Debug, Clone)]
pub struct TrunkStates {
    /// The block; the number of blocks where all have run.
    pub block: usize,
    /// `[batch, virtual + positions, d_model]`, virtual tokens before the text; any finite values
    /// where a row is padded, since no text sees them.
    pub states: Tensor<3>,
}

/// An objective's loss, cut before a block: [`trunk`](Self::trunk) and then
/// [`loss_sum_from`](Self::loss_sum_from) is the objective's own loss, to the bit.
pub trait BlockwiseLoss<M, E>: Sync {
    /// The stages of the model.
    fn stages<'m>(&self, model: &'m M) -> &'m dyn Stages;

    /// The tokens of these rows, padded on the right to the longest one's length or put behind each
    /// other, `[rows, positions]`, and the pass over them.
    ///
    /// # Panics
    ///
    /// If there is no row.
    fn tokens(&self, model: &M, rows: &[&E], device: &Device) -> (Tensor<2, Int>, Pass);

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

    /// Whether the states of a row are the same in batches that are padded to any length between
    /// these: the rotation of its positions is.
    fn holds(&self, model: &M, shortest: usize, longest: usize) -> bool {
        let stages = self.stages(model);
        stages.cache_holds(stages.n_virtual_tokens() + shortest, longest)
    }

    /// What the first block reads for these rows, on the device of the model, or `trunk`, where
    /// blocks have run already; and the context in which [`run`](Self::run) goes on.
    ///
    /// # Shapes
    ///
    /// The states are `[rows, virtual + positions, d_model]`.
    ///
    /// # Panics
    ///
    /// If there is no row.
    fn begin(
        &self,
        model: &M,
        rows: &[&E],
        trunk: Option<TrunkStates>,
        device: &Device,
    ) -> (TrunkStates, Context) {
        let stages = self.stages(model);
        let (ids, pass) = self.tokens(model, rows, device);
        // All positions, whatever is read above.
        let pass = pass.reading(Read::All);
        let context = stages.context(ids.dims(), pass, None, &ids.device());
        let trunk = trunk.unwrap_or_else(|| TrunkStates {
            block: 0,
            states: stages.begin_text(ids, &context),
        });
        (trunk, context)
    }

    /// Some blocks, at all positions.
    ///
    /// # Shapes
    ///
    /// `states` and the result are `[rows, virtual + positions, d_model]`.
    ///
    /// # Panics
    ///
    /// If there is no such block.
    fn run(
        &self,
        model: &M,
        states: Tensor<3>,
        blocks: Range<usize>,
        context: &Context,
    ) -> Tensor<3> {
        self.stages(model).run(states, blocks, context, None)
    }

    /// What `block` reads for these rows.
    ///
    /// # Panics
    ///
    /// If there is no row, or no such block.
    fn trunk(&self, model: &M, rows: &[&E], block: usize, device: &Device) -> TrunkStates {
        let (embeds, context) = self.begin(model, rows, None, device);
        let states = self.run(model, embeds.states, 0..block, &context);
        TrunkStates { block, states }
    }
}

/// The states that a pass reads, and its context: from tokens, or from what the trunk gave for
/// them. Where the trunk is all blocks, it has the states of all positions.
pub(crate) fn read<M: Transformer>(
    model: &M,
    ids: Tensor<2, Int>,
    pass: Pass,
    trunk: Option<TrunkStates>,
) -> (Tensor<3>, Context) {
    let Some(TrunkStates { block, states }) = trunk else {
        return model.read(ids, pass, None);
    };
    let context = model.context(ids.dims(), pass, None, &ids.device());
    let x = model.run(states, block..model.n_blocks(), &context, None);
    (model.finish(x, &context), context)
}

/// The states that a head reads, `[reads, d_model]`: from tokens, or from what the trunk gave for
/// them.
pub(crate) fn states_read<M: Transformer>(
    model: &M,
    ids: Tensor<2, Int>,
    pass: Pass,
    reads: &ReadPositions,
    trunk: Option<TrunkStates>,
) -> Tensor<2> {
    let all_ran = trunk
        .as_ref()
        .is_some_and(|trunk| trunk.block == model.n_blocks());
    let (pass, flat) = match reads.queries.as_ref().filter(|_| !all_ran) {
        Some(QueryPositions { at, flat }) => (pass.reading(Read::At(at.clone())), flat),
        None => (pass, &reads.flat),
    };
    let (states, _) = read(model, ids, pass, trunk);
    let [batch, positions, width] = states.dims();
    let rows = states.reshape([batch * positions, width]);
    rows.select(0, flat.clone())
}
