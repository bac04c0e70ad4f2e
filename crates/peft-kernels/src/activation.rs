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
    /// `f(x)`, elementwise.
    pub fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        #[cfg(feature = "flex")]
        if self.is_costly() && crate::fuses(&x) {
            return crate::flex::act(x, self);
        }
        match self {
            Self::Silu => silu(x),
            Self::Gelu => gelu(x),
            Self::GeluTanh => gelu_tanh(x),
            Self::Relu => activation::relu(x),
        }
    }

    /// `f(gate) ∘ x`, elementwise; both are of one shape. *GLU Variants Improve Transformer*, Shazeer 2020, [arXiv:2002.05202](https://arxiv.org/abs/2002.05202).
    pub fn gate<const D: usize>(self, gate: Tensor<D>, x: Tensor<D>) -> Tensor<D> {
        #[cfg(feature = "flex")]
        if self.is_costly() && crate::fuses(&gate) && crate::fuses(&x) && gate.dims() == x.dims() {
            return crate::flex::gate(gate, x, self);
        }
        self.apply(gate) * x
    }

    /// Whether Burn takes more than a pass over memory for it.
    #[cfg(feature = "flex")]
    fn is_costly(self) -> bool {
        self != Self::Relu
    }
}
