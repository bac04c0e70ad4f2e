//! [`ActiveAdapter`]: an adapter that acts, and what several make of a parameter.

use burn::tensor::Tensor;

use super::DynAdapter;
use crate::FrozenWeight;

/// An adapter that takes part in the forward, with its strength.
#[derive(Debug)]
pub(crate) struct ActiveAdapter<'a> {
    pub(crate) adapter: &'a dyn DynAdapter,
    pub(super) strength: f64,
}

impl ActiveAdapter<'_> {
    /// `below + strength · (adapted − below)`, evaluating `below` only where the strength asks for
    /// it.
    pub(crate) fn blend<const D: usize>(
        &self,
        below: impl FnOnce() -> Tensor<D>,
        adapted: impl FnOnce() -> Tensor<D>,
    ) -> Tensor<D> {
        if self.strength == 1.0 {
            return adapted();
        }
        let below = below();
        below.clone() + (adapted() - below).mul_scalar(self.strength)
    }
}

/// `base` with `adapters` applied in order, each result in the precision in which the weight is
/// stored.
pub(crate) fn effective_weight<const D: usize>(
    base: FrozenWeight<D>,
    adapters: &[ActiveAdapter<'_>],
) -> FrozenWeight<D> {
    adapters.iter().fold(base, |below, active| {
        let adapted = || below.rounded(active.adapter.weight_of(&below));
        active.blend(|| below.dense(), adapted).into()
    })
}

/// The bias with `adapters` applied in order.
pub(crate) fn effective_bias(base: Tensor<1>, adapters: &[ActiveAdapter<'_>]) -> Tensor<1> {
    adapters.iter().fold(base, |below, active| {
        active.blend(|| below.clone(), || active.adapter.bias_dyn(below.clone()))
    })
}
