//! [`Activation`]: the elementwise functions of feed-forward layers.

use burn::tensor::{Tensor, activation};

use crate::closed_form::{gelu, gelu_tanh, silu};

/// The elementwise function of a feed-forward layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Activation {
    /// `x · σ(x)`.
    #[default]
    Silu,
    /// `x · Φ(x)`.
    Gelu,
    /// The same with Φ approximated through tanh.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
}

impl Activation {
    /// Applied to each element.
    pub(crate) fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Silu => silu(x),
            Self::Gelu => gelu(x),
            Self::GeluTanh => gelu_tanh(x),
            Self::Relu => activation::relu(x),
        }
    }
}
