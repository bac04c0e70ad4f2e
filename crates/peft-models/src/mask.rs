//! Which positions of a pass are queries, and what they see.

use burn::tensor::{Int, Tensor};
use peft_core::select_positions;
use peft_kernels::{Seen, Sight};

/// Which positions are queries and what they see; made once a forward for all layers of one sight.
pub(crate) struct AttentionBias(pub(crate) Seen);

impl AttentionBias {
    /// A query sees the keys in its sight that are of its own segment; `segments` is `[batch, cached + positions]`.
    pub(crate) fn new(
        sight: Sight,
        positions: usize,
        cached: usize,
        segments: Option<Tensor<2, Int>>,
    ) -> Self {
        Self(Seen::new(sight, cached, positions).with_segments(segments))
    }

    /// The same, of these new positions of each row alone, `[batch, read]`, where there are any: a block gives their states.
    pub(crate) fn asked_at(self, at: Option<Tensor<2, Int>>) -> Self {
        Self(self.0.with_queries(at))
    }

    /// Of a value of every new position, `[batch, positions, width]`, those of the queries.
    pub(crate) fn asking(&self, x: Tensor<3>) -> Tensor<3> {
        match self.0.queries() {
            Some(at) => select_positions(x, at.clone()),
            None => x,
        }
    }
}
