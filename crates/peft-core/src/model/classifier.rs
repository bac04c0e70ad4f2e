//! [`SequenceClassifier`] and [`TokenClassifier`]: what training and evaluation need of a model with a head.

use burn::tensor::{Int, Tensor};

use super::Transformer;

/// A model that gives each label a score for the whole text.
pub trait SequenceClassifier: Transformer {
    /// The scores of each label; the value itself where the task is a regression.
    ///
    /// # Shapes
    ///
    /// `hidden` is `[batch, positions, d_model]`, `segments` `[batch, cached + positions]` as in [`FromEmbeddings`](super::FromEmbeddings), the result `[batch, n_labels]`.
    fn class_logits(&self, hidden: Tensor<3>, segments: Option<Tensor<2, Int>>) -> Tensor<2>;

    /// How many labels there are.
    fn n_labels(&self) -> usize;

    /// The scores of each label for the texts of a batch.
    ///
    /// # Shapes
    ///
    /// `ids` and `segments` are `[batch, positions]`, the result `[batch, n_labels]`.
    fn classify(&self, ids: Tensor<2, Int>, segments: Option<Tensor<2, Int>>) -> Tensor<2> {
        let hidden = self.hidden(ids, segments.clone(), None);
        self.class_logits(hidden, segments)
    }
}

/// A model that gives each label a score for each position.
pub trait TokenClassifier: Transformer {
    /// The scores of each label.
    ///
    /// # Shapes
    ///
    /// `hidden` is `[batch, positions, d_model]`, the result `[batch, positions, n_labels]`.
    fn token_logits(&self, hidden: Tensor<3>) -> Tensor<3>;

    /// How many labels there are.
    fn n_labels(&self) -> usize;
}
