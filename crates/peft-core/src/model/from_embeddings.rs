//! [`FromEmbeddings`]: all that a soft prompt or a prefix needs of a model.

use burn::module::Module;
use burn::tensor::{Int, Tensor};

#[cfg(doc)]
use super::EVERY_SEQUENCE;
use super::{KvCache, select_positions};

/// A model in two steps, between which vectors can join that are no token's.
///
/// `segments` says which sequence of its row a position belongs to, `[batch, cached + positions]`, and a position sees only its own: so padding
/// is a sequence of its own, and several sequences may share a row. Positions of [`EVERY_SEQUENCE`] are seen by all.
/// None where each row is one sequence.
pub trait FromEmbeddings: Module {
    /// The embeddings of tokens, as they come from the table: what a soft prompt's vectors are put beside.
    ///
    /// # Shapes
    ///
    /// `ids` is `[batch, positions]`, the result `[batch, positions, d_model]`.
    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3>;

    /// What [`hidden_from`](Self::hidden_from) reads of a text of tokens whose positions count from
    /// `start`: their embeddings, and what the model's positions depend on the tokens themselves.
    /// RoBERTa does not count its padding token; of vectors that are no token's it counts all.
    ///
    /// # Shapes
    ///
    /// `ids` is `[batch, positions]`, the result `[batch, positions, d_model]`.
    fn embed_text(&self, ids: Tensor<2, Int>, start: usize) -> Tensor<3> {
        let _ = start;
        self.embed(ids)
    }

    /// The states that heads read, from embeddings. With a cache, positions count from what it holds and see it, and their keys and values are appended to it.
    ///
    /// # Shapes
    ///
    /// `embeds` and the result are `[batch, positions, d_model]`.
    fn hidden_from(
        &self,
        embeds: Tensor<3>,
        segments: Option<Tensor<2, Int>>,
        cache: Option<&mut KvCache>,
    ) -> Tensor<3>;

    /// The states that heads read.
    ///
    /// # Shapes
    ///
    /// `ids` is `[batch, positions]`, the result `[batch, positions, d_model]`.
    fn hidden(
        &self,
        ids: Tensor<2, Int>,
        segments: Option<Tensor<2, Int>>,
        cache: Option<&mut KvCache>,
    ) -> Tensor<3> {
        let start = cache.as_ref().map_or(0, |cache| cache.len());
        self.hidden_from(self.embed_text(ids, start), segments, cache)
    }

    /// The states that heads read, at some positions of each row alone: those of [`hidden_from`](Self::hidden_from) without a cache, up to rounding. A model
    /// need not compute in its last block what nobody reads.
    ///
    /// # Shapes
    ///
    /// `embeds` is `[batch, positions, d_model]`, `at` `[batch, read]`, the result `[batch, read, d_model]`.
    ///
    /// # Panics
    ///
    /// If a position is beyond the row.
    fn hidden_at(
        &self,
        embeds: Tensor<3>,
        segments: Option<Tensor<2, Int>>,
        at: Tensor<2, Int>,
    ) -> Tensor<3> {
        select_positions(self.hidden_from(embeds, segments, None), at)
    }
}
