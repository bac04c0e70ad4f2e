//! [`CausalLm`]: what training, evaluation and generation need of a decoder.

use burn::module::Module;
use burn::tensor::{Int, Tensor};

use crate::KvCache;

/// A decoder that predicts the next token.
pub trait CausalLm: Module {
    /// The states after the final norm.
    ///
    /// Positions count from the cache's length. With a cache, the new keys and values are appended to it.
    ///
    /// # Shapes
    ///
    /// `ids` is `[batch, positions]`; `segments` says which sequence of its row a position belongs to, `[batch, cached + positions]`, and a position sees
    /// only its own: so padding is a sequence of its own, and several sequences may share a row. None where each row is one sequence. The result is
    /// `[batch, positions, d_model]`.
    fn hidden(
        &self,
        ids: Tensor<2, Int>,
        segments: Option<Tensor<2, Int>>,
        cache: Option<&mut KvCache>,
    ) -> Tensor<3>;

    /// The scores of each token as the next one.
    ///
    /// # Shapes
    ///
    /// `hidden` is `[batch, positions, d_model]`, the result `[batch, positions, vocabulary]`.
    fn logits(&self, hidden: Tensor<3>) -> Tensor<3>;

    /// The number of tokens in the vocabulary.
    fn vocab_size(&self) -> usize;

    /// The longest sequence that the model was made for.
    fn max_positions(&self) -> usize;

    /// An empty cache for this model.
    fn new_cache(&self) -> KvCache;
}
