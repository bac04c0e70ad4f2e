//! The adapter-aware forward of Burn's own layers.

use burn::nn::{Embedding, Linear};
use burn::tensor::{Int, Tensor};

use crate::{AdapterSlot, FrozenEmbedding, FrozenLinear};

/// `layer`'s forward, with the adapters on its weight in factored form.
///
/// With an adapter, neither the adapted weight nor a gradient of its shape is formed, unless a method is defined by its dense weight.
///
/// # Shapes
///
/// `x` is `[.., d_in]` with at least one axis, the result `[.., d_out]`.
///
/// # Panics
///
/// If the last axis of `x` is not `d_in`.
pub fn linear<const D: usize>(layer: &Linear, x: Tensor<D>) -> Tensor<D> {
    let slot = layer.weight.reparameterization::<AdapterSlot>();
    let acting = slot.as_ref().map(|slot| slot.acting()).unwrap_or_default();
    let base = FrozenLinear {
        weight: match slot {
            Some(_) => layer.weight.base(),
            None => layer.weight.val(),
        },
        bias: layer.bias.as_ref().map(|bias| bias.val()),
        below: &acting,
    };
    let mut dims = x.dims();
    let [d_in, d_out] = base.weight.dims();
    assert_eq!(
        dims[D - 1],
        d_in,
        "a linear layer of {d_in} inputs was given {dims:?}"
    );
    let rows = dims[..D - 1].iter().product::<usize>();
    let y = base.forward(x.reshape([1, rows, d_in]));
    dims[D - 1] = d_out;
    y.reshape(dims)
}

/// `layer`'s forward, with the adapters on its weight in factored form.
///
/// Without a slot this is exactly [`Embedding::forward`].
///
/// # Shapes
///
/// `ids` is `[batch, positions]`, the result `[batch, positions, d_model]`.
pub fn embedding(layer: &Embedding, ids: Tensor<2, Int>) -> Tensor<3> {
    let Some(slot) = layer.weight.reparameterization::<AdapterSlot>() else {
        return layer.forward(ids);
    };
    let acting = slot.acting();
    FrozenEmbedding {
        weight: layer.weight.base(),
        below: &acting,
    }
    .forward(ids)
}
