//! [`Transformer`]: a model in stages, whatever it was made to predict.

use std::ops::Range;

use burn::tensor::{Int, Tensor};

use super::{FromEmbeddings, KvCache, select_positions};

/// Token embeddings, a stack of blocks, a final norm; the states that come out are what heads read.
///
/// The stages are apart, so that a method can act between them: the lower blocks can be run once and their output kept, for instance.
/// [`stages`](Self::stages) is all of them in order, and what [`hidden_from`](FromEmbeddings::hidden_from) is made of.
pub trait Transformer: FromEmbeddings {
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

    /// The last block, at some positions of each row alone. What it computes of the others are their keys and values; the residual stream, queries, and all that
    /// follows attention are of those that are read.
    ///
    /// # Shapes
    ///
    /// `x` is `[batch, positions, d_model]`, `at` `[batch, read]`, the result `[batch, read, d_model]`.
    ///
    /// # Panics
    ///
    /// If a position is beyond the row.
    fn run_last(
        &self,
        x: Tensor<3>,
        segments: Option<Tensor<2, Int>>,
        at: Tensor<2, Int>,
    ) -> Tensor<3> {
        let end = self.n_blocks();
        select_positions(self.run_blocks(x, end - 1..end, segments, None), at)
    }

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

    /// The states after the final norm, from embeddings: every stage in its turn.
    ///
    /// # Shapes
    ///
    /// `embeds` and the result are `[batch, positions, d_model]`.
    fn stages(
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

    /// The same stages, the last block at some positions of each row alone: what a model's [`hidden_at`](FromEmbeddings::hidden_at) is made of.
    ///
    /// # Shapes
    ///
    /// `embeds` is `[batch, positions, d_model]`, `at` `[batch, read]`, the result `[batch, read, d_model]`.
    fn stages_at(
        &self,
        embeds: Tensor<3>,
        segments: Option<Tensor<2, Int>>,
        at: Tensor<2, Int>,
    ) -> Tensor<3> {
        let x = self.begin(embeds, 0);
        let below = 0..self.n_blocks() - 1;
        let x = self.run_blocks(x, below, segments.clone(), None);
        self.finish(self.run_last(x, segments, at))
    }
}
