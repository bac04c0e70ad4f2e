//! [`ModelFixture`]: what the suite must know of a model.

use burn::tensor::Device;
use peft_core::ForwardPath;
use peft_model::Transformer;

use crate::Head;
use crate::net::scattered;

/// A model, in one of its configurations: small, at least two blocks, 8 tokens and 12 positions,
/// without dropout.
///
/// Sizes should be unlike: a head's width that is not `d_model / n_heads`, fewer heads of keys than
/// of queries, windows shorter than 9 positions (and at least 4), biases, wherever the model can
/// have them.
pub trait ModelFixture {
    /// The model.
    type Model: Transformer;

    /// What it predicts with: [`Logits`](crate::Logits), [`Classes`](crate::Classes),
    /// [`Tags`](crate::Tags), or [`States`](crate::States) where it has no head.
    type Head: Head<Self::Model>;

    /// What it is called.
    const NAME: &'static str;

    /// Whether a position sees none after it.
    const CAUSAL: bool = <Self::Head as Head<Self::Model>>::CAUSAL;

    /// How it reads its layers: by [`linear`](peft_core::linear) and
    /// [`embedding`](peft_core::embedding), or as any Burn module does.
    const PATH: ForwardPath = ForwardPath::Factored;

    /// A fresh model.
    fn model(device: &Device) -> Self::Model;

    /// Give every parameter a value that matters, the same at each call. What trains must stay so.
    fn filled(model: Self::Model) -> Self::Model {
        scattered(model)
    }
}
