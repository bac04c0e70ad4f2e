//! [`Head`] and what can be one: a trait of the models' for each.

use burn::tensor::{Int, Tensor};
use peft_model::{CausalLm, SequenceClassifier, TokenClassifier, Transformer};

/// What a model makes of its states.
pub trait Head<M: Transformer> {
    /// Whether a model with such a head is causal, where its fixture does not say.
    const CAUSAL: bool = false;

    /// Of all states.
    ///
    /// # Shapes
    ///
    /// `states` is `[batch, positions, d_model]`, `segments` `[batch, positions]`, the result
    /// `[batch, positions, outputs]`, or `[batch, 1, outputs]` of a whole text.
    fn output(model: &M, states: Tensor<3>, segments: Option<Tensor<2, Int>>) -> Tensor<3>;

    /// Of a text, as training gets it: no state is computed that need not be. `at` are the
    /// positions to predict at.
    ///
    /// # Shapes
    ///
    /// `ids` and `segments` are `[batch, positions]`, `at` `[batch, read]`, the result
    /// `[batch, read or 1, outputs]`.
    fn read(
        model: &M,
        ids: Tensor<2, Int>,
        segments: Option<Tensor<2, Int>>,
        at: Tensor<2, Int>,
    ) -> Tensor<3> {
        let states = model.hidden_at(ids, segments.clone(), at);
        Self::output(model, states, segments)
    }
}

/// The next token's logits, of a [`CausalLm`].
#[derive(Debug)]
pub struct Logits;

/// The scores of a text's labels, of a [`SequenceClassifier`].
#[derive(Debug)]
pub struct Classes;

/// The scores of each position's labels, of a [`TokenClassifier`].
#[derive(Debug)]
pub struct Tags;

/// The states themselves, of a model without a head.
#[derive(Debug)]
pub struct States;

impl<M: CausalLm> Head<M> for Logits {
    const CAUSAL: bool = true;

    fn output(model: &M, states: Tensor<3>, _: Option<Tensor<2, Int>>) -> Tensor<3> {
        let logits = model.logits(states);
        assert_eq!(logits.dims()[2], model.vocab_size());
        logits
    }
}

impl<M: SequenceClassifier> Head<M> for Classes {
    fn output(model: &M, states: Tensor<3>, segments: Option<Tensor<2, Int>>) -> Tensor<3> {
        let scores = model.class_logits(states, segments);
        assert_eq!(scores.dims()[1], model.n_labels());
        scores.unsqueeze_dim(1)
    }

    fn read(
        model: &M,
        ids: Tensor<2, Int>,
        segments: Option<Tensor<2, Int>>,
        _: Tensor<2, Int>,
    ) -> Tensor<3> {
        model.classify(ids, segments).unsqueeze_dim(1)
    }
}

impl<M: TokenClassifier> Head<M> for Tags {
    fn output(model: &M, states: Tensor<3>, _: Option<Tensor<2, Int>>) -> Tensor<3> {
        let scores = model.token_logits(states);
        assert_eq!(scores.dims()[2], model.n_labels());
        scores
    }
}

impl<M: Transformer> Head<M> for States {
    fn output(_: &M, states: Tensor<3>, _: Option<Tensor<2, Int>>) -> Tensor<3> {
        states
    }
}
