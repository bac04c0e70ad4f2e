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

    /// Whether [`class_logits`](Self::class_logits) reads the state of the first position and no other: then it may be given that state alone.
    fn reads_first_position(&self) -> bool {
        false
    }

    /// How many labels there are.
    fn n_labels(&self) -> usize;

    /// The states that [`class_logits`](Self::class_logits) needs: all, or the first position's where it reads no other.
    ///
    /// # Shapes
    ///
    /// `embeds` is `[batch, positions, d_model]`, `segments` `[batch, positions]`, the result `[batch, positions or 1, d_model]`.
    fn states_to_classify(&self, embeds: Tensor<3>, segments: Option<Tensor<2, Int>>) -> Tensor<3> {
        if !self.reads_first_position() {
            return self.hidden_from(embeds, segments, None);
        }
        let first = Tensor::zeros([embeds.dims()[0], 1], &embeds.device());
        self.hidden_at(embeds, segments, first)
    }

    /// The scores of each label for the texts of a batch.
    ///
    /// # Shapes
    ///
    /// `ids` and `segments` are `[batch, positions]`, the result `[batch, n_labels]`.
    fn classify(&self, ids: Tensor<2, Int>, segments: Option<Tensor<2, Int>>) -> Tensor<2> {
        let hidden = self.states_to_classify(self.embed_text(ids, 0), segments.clone());
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
