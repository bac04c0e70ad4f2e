//! [`Transformer`]: what every model here is, whatever it was made to predict.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::{Int, Tensor};

use crate::KvCache;

/// Token embeddings, a stack of blocks, a final norm; the states that come out are what heads read.
///
/// The stages are apart, so that a method can act between them: a soft prompt joins the embeddings, a prefix comes as a cache that is not empty, and
/// the lower blocks can be run once and their output kept. [`hidden`](Self::hidden) is all of them in order.
///
/// In every stage `segments` says which sequence of its row a position belongs to, `[batch, cached + positions]`, and a position sees only its own: so padding
/// is a sequence of its own, and several sequences may share a row. Positions of [`EVERY_SEQUENCE`](crate::EVERY_SEQUENCE) are seen by all.
/// None where each row is one sequence.
pub trait Transformer: Module {
    /// The embeddings of tokens, as they come from the table: what a soft prompt's vectors are put beside.
    ///
    /// # Shapes
    ///
    /// `ids` is `[batch, positions]`, the result `[batch, positions, d_model]`.
    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3>;

    /// What the first block reads: the embeddings with whatever the model adds to them, positions counted from `start`.
    ///
    /// # Shapes
    ///
    /// `embeds` and the result are `[batch, positions, d_model]`.
    fn begin(&self, embeds: Tensor<3>, start: usize) -> Tensor<3>;

    /// How many blocks there are.
    fn n_blocks(&self) -> usize;

    /// Some of the blocks, one after the other. With a cache, positions count from what it holds, and the new keys and values are appended to it.
    ///
    /// # Shapes
    ///
    /// `x` and the result are `[batch, positions, d_model]`.
    fn run_blocks(
        &self,
        x: Tensor<3>,
        blocks: Range<usize>,
        segments: Option<Tensor<2, Int>>,
        cache: Option<&mut KvCache>,
    ) -> Tensor<3>;

    /// The final norm, where the model has one.
    fn finish(&self, x: Tensor<3>) -> Tensor<3>;

    /// Width of the residual stream.
    fn d_model(&self) -> usize;

    /// The number of tokens in the vocabulary.
    fn vocab_size(&self) -> usize;

    /// The longest sequence that the model was made for.
    fn max_positions(&self) -> usize;

    /// Heads and width of the keys and values of a block: `(n_kv_heads, head_dim)`.
    fn kv_shape(&self) -> (usize, usize);

    /// An empty cache for this model.
    fn new_cache(&self) -> KvCache {
        KvCache::new(self.n_blocks())
    }

    /// Whether what is cached of `cached` positions still holds once a sequence grows to `length`: not where the rotation of all positions changes with
    /// the length. All positions are then to be read again, with an empty cache.
    fn cache_holds(&self, cached: usize, length: usize) -> bool {
        let _ = (cached, length);
        true
    }

    /// The states after the final norm, from embeddings.
    ///
    /// # Shapes
    ///
    /// `embeds` and the result are `[batch, positions, d_model]`.
    fn hidden_from(
        &self,
        embeds: Tensor<3>,
        segments: Option<Tensor<2, Int>>,
        cache: Option<&mut KvCache>,
    ) -> Tensor<3> {
        let start = cache.as_ref().map_or(0, |cache| cache.len());
        let x = self.begin(embeds, start);
        let x = self.run_blocks(x, 0..self.n_blocks(), segments, cache);
        self.finish(x)
    }

    /// The states after the final norm.
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
        self.hidden_from(self.embed(ids), segments, cache)
    }
}
