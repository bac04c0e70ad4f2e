//! [`CausalLm`]: what training, evaluation and generation need of a decoder.

use burn::module::Module;
use burn::tensor::{Bool, Int, Tensor};

use crate::KvCache;

/// A decoder that predicts the next token.
pub trait CausalLm: Module {
    /// The states after the final norm.
    ///
    /// Positions count from the cache's length. With a cache, the new keys and values are appended to it.
    ///
    /// # Shapes
    ///
    /// `ids` is `[batch, positions]`; `padding` is true where a key is padding, `[batch, cached + positions]`; the result is
    /// `[batch, positions, d_model]`. Padding stands on the right.
    fn hidden(
        &self,
        ids: Tensor<2, Int>,
        padding: Option<Tensor<2, Bool>>,
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
