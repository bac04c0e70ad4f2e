//! [`Activation`]: the elementwise functions of feed-forward layers.

use std::f64::consts::SQRT_2;

use burn::tensor::{Tensor, activation};

use crate::closed_form::{gelu, gelu_tanh, silu};

/// What the argument of the sigmoid is scaled by in [`Activation::QuickGelu`].
const QUICK: f64 = 1.702;
/// [`Activation::Laplace`]'s constants, as transformers rounds them.
#[allow(clippy::approx_constant)]
const MEAN: f64 = 0.707107;
const DEVIATION: f64 = 0.282095;

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
    /// `x · σ(1.702 x)`.
    QuickGelu,
    /// [`Gelu`](Self::Gelu) within ±10.
    ClippedGelu,
    /// `max(x, 0)²`. *Primer*, So et al. 2021,
    /// [arXiv:2109.08668](https://arxiv.org/abs/2109.08668).
    SquaredRelu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `max(x, 0.01 x)`.
    LeakyRelu,
    /// `x · min(max(x + 3, 0), 6) / 6`.
    HardSwish,
    /// `x · tanh(ln(1 + eˣ))`. *Mish*, Misra 2019,
    /// [arXiv:1908.08681](https://arxiv.org/abs/1908.08681).
    Mish,
    /// `Φ((x − √½) / 0.282095)`, MEGA's Laplace function. Ma et al. 2022,
    /// [arXiv:2209.10655](https://arxiv.org/abs/2209.10655).
    Laplace,
    /// `√ln(1 + eˣ)`.
    RootSoftplus,
    /// `tanh x`.
    Tanh,
    /// `σ(x)`.
    Sigmoid,
    /// `x`.
    Linear,
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
            Self::QuickGelu => Self::Silu.apply(x * QUICK) / QUICK,
            Self::ClippedGelu => Self::Gelu.apply(x).clamp(-10.0, 10.0),
            Self::SquaredRelu => activation::relu(x).square(),
            Self::Relu6 => activation::relu6(x),
            Self::LeakyRelu => activation::leaky_relu(x, 0.01),
            Self::HardSwish => x.clone() * activation::relu6(x + 3.0) / 6.0,
            Self::Mish => activation::mish(x),
            Self::Laplace => (((x - MEAN) / (DEVIATION * SQRT_2)).erf() + 1.0) / 2.0,
            Self::RootSoftplus => activation::softplus(x, 1.0).sqrt(),
            Self::Tanh => x.tanh(),
            Self::Sigmoid => activation::sigmoid(x),
            Self::Linear => x,
        }
    }

    /// `f(gate) ∘ x`, elementwise; both are of one shape. *GLU Variants Improve Transformer*,
    /// Shazeer 2020, [arXiv:2002.05202](https://arxiv.org/abs/2002.05202).
    pub fn gate<const D: usize>(self, gate: Tensor<D>, x: Tensor<D>) -> Tensor<D> {
        #[cfg(feature = "flex")]
        if self.is_costly() && crate::fuses(&gate) && crate::fuses(&x) && gate.dims() == x.dims() {
            return crate::flex::gate(gate, x, self);
        }
        self.apply(gate) * x
    }

    /// Whether Burn takes more than a pass over memory for it, and models that train much have it.
    #[cfg(feature = "flex")]
    fn is_costly(self) -> bool {
        matches!(self, Self::Silu | Self::Gelu | Self::GeluTanh)
    }
}
