//! [`SequenceClassifier`] and [`TokenClassifier`]: what training and evaluation need of a model
//! with a head.

use burn::tensor::{Int, Tensor};

use crate::{Pass, Read, Transformer};

/// A model that gives each label a score for the whole text.
pub trait SequenceClassifier: Transformer {
    /// The scores of each label; the value itself where the task is a regression.
    ///
    /// # Shapes
    ///
    /// `hidden` is `[batch, positions, d_model]`, `segments` `[batch, cached + positions]` as in
    /// [`Pass`], the result `[batch, n_labels]`.
    fn class_logits(&self, hidden: Tensor<3>, segments: Option<Tensor<2, Int>>) -> Tensor<2>;

    /// Whether [`class_logits`](Self::class_logits) reads the state of the first position and no
    /// other: then it may be given that state alone.
    fn reads_first_position(&self) -> bool {
        false
    }

    /// How many labels there are.
    fn n_labels(&self) -> usize;

    /// The pass whose states the head reads. Those of a soft prompt are among them, as in PEFT: a
    /// head that reads the first position reads the prompt's. A prefix has no states.
    fn class_pass(&self, segments: Option<Tensor<2, Int>>) -> Pass {
        Pass::new(segments).reading(match self.reads_first_position() {
            true => Read::First,
            false => Read::All,
        })
    }

    /// The scores of each label for the texts of a batch.
    ///
    /// # Shapes
    ///
    /// `ids` and `segments` are `[batch, positions]`, the result `[batch, n_labels]`.
    fn classify(&self, ids: Tensor<2, Int>, segments: Option<Tensor<2, Int>>) -> Tensor<2> {
        let (hidden, context) = self.read(ids, self.class_pass(segments), None);
        self.class_logits(hidden, context.segments())
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
