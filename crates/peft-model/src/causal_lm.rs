//! [`CausalLm`]: what training, evaluation and generation need of a decoder.

use burn::tensor::Tensor;

use crate::Transformer;

/// A decoder that predicts the next token.
pub trait CausalLm: Transformer {
    /// The scores of each token as the next one.
    ///
    /// # Shapes
    ///
    /// `hidden` is `[batch, positions, d_model]`, the result `[batch, positions, vocabulary]`.
    fn logits(&self, hidden: Tensor<3>) -> Tensor<3>;
}
