//! The adapter-aware forward of Burn's own layers.

use burn::module::Param;
use burn::nn::{Embedding, Linear};
use burn::tensor::{Int, Tensor};

use crate::route;
use crate::slot::effective_weight;
use crate::{AdapterSlot, FrozenEmbedding, FrozenLinear, FrozenWeight};

/// `layer`'s forward, with the adapters on its weight in factored form.
///
/// Without an adapter this is what [`Linear::forward`] gives. With one, neither the adapted weight
/// nor a gradient of its shape is formed, unless a method is defined by its dense weight.
///
/// # Shapes
///
/// `x` is `[.., d_in]` with at least one axis, the result `[.., d_out]`. Where
/// [`route`](crate::route) has chosen adapters for rows, `x` is `[rows, .., d_in]`.
///
/// # Panics
///
/// If the last axis of `x` is not `d_in`, or adapters were chosen for another number of rows than
/// there are.
pub fn linear<const D: usize>(layer: &Linear, x: Tensor<D>) -> Tensor<D> {
    if let Some(routes) = route::routes_of(layer) {
        return route::linear(routes, layer, x);
    }
    let slot = layer.weight.reparameterization::<AdapterSlot>();
    let acting = slot.as_ref().map(|slot| slot.acting()).unwrap_or_default();
    let base = FrozenLinear {
        weight: match slot {
            Some(_) => FrozenWeight::of(&layer.weight),
            None => layer.weight.val().into(),
        },
        bias: layer.bias.as_ref().map(|bias| bias.val()),
        below: &acting,
    };
    of_rows(&base, x)
}

/// A layer's output of rows of any rank.
fn of_rows<const D: usize>(layer: &FrozenLinear<'_>, x: Tensor<D>) -> Tensor<D> {
    let mut dims = x.dims();
    let [d_in, d_out] = layer.weight.dims();
    assert_eq!(
        dims[D - 1],
        d_in,
        "a linear layer of {d_in} inputs was given {dims:?}"
    );
    let rows = dims[..D - 1].iter().product::<usize>();
    let y = layer.forward(x.reshape([rows, d_in]));
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
///
/// # Panics
///
/// If [`route`](crate::route) has chosen adapters for another number of rows than there are.
pub fn embedding(layer: &Embedding, ids: Tensor<2, Int>) -> Tensor<3> {
    let Some(slot) = layer.weight.reparameterization::<AdapterSlot>() else {
        return FrozenWeight::of(&layer.weight).rows(ids);
    };
    if let Some(routes) = slot.routes() {
        return route::embedding(routes, slot, layer, ids);
    }
    let acting = slot.acting();
    FrozenEmbedding {
        weight: FrozenWeight::of(&layer.weight),
        below: &acting,
    }
    .forward(ids)
}

/// What an output layer gives that is the transposed embedding: the frozen one, as changed by the
/// adapters that [change it](crate::Adapter::changes_tied).
///
/// # Shapes
///
/// `states` is `[batch, positions, d_model]`, the result `[batch, positions, n_embeddings]`.
pub fn tied_output(layer: &Embedding, states: Tensor<3>) -> Tensor<3> {
    let base = FrozenWeight::of(&layer.weight);
    let mut below = base.transposed_product(states.clone());
    let slot = layer.weight.reparameterization::<AdapterSlot>();
    let acting = slot.map(|slot| slot.acting()).unwrap_or_default();
    let mut weight = base;
    for (i, active) in acting.iter().enumerate() {
        if !active.adapter.changes_tied() {
            continue;
        }
        let adapted = || {
            let adapter = active.adapter;
            adapter.tied_dyn(states.clone(), below.clone(), &weight)
        };
        below = active.blend(|| below.clone(), adapted);
        if i + 1 < acting.len() {
            weight = effective_weight(weight, &acting[i..=i]);
        }
    }
    below
}

/// As [`embedding`], of ids that stand beside every row of a batch: those of positions, for
/// instance.
///
/// # Shapes
///
/// `ids` is `[1, positions]`, the result `[1, positions, d_model]`; `[rows, positions, d_model]`
/// where [`route`](crate::route) has chosen adapters for rows.
pub fn shared_embedding(layer: &Embedding, ids: Tensor<2, Int>) -> Tensor<3> {
    let slot = layer.weight.reparameterization::<AdapterSlot>();
    match slot.and_then(AdapterSlot::routes) {
        Some(routes) => {
            let positions = ids.dims()[1];
            embedding(layer, ids.expand([routes.rows(), positions]))
        }
        None => embedding(layer, ids),
    }
}

/// The value of a vector of features, a norm's for instance, as the rows of a batch read it.
///
/// Where [`route`](crate::route) has not chosen adapters for rows this is the parameter's value.
///
/// # Shapes
///
/// `param` is `[width]`, the result `[1, .., width]`, or `[rows, 1, .., width]` where rows read
/// different values; it is meant for `[rows, .., width]`.
///
/// # Panics
///
/// If adapters were chosen for another number of rows than `rows`, or there is no axis of rows.
pub fn features<const D: usize>(param: &Param<Tensor<1>>, rows: usize) -> Tensor<D> {
    let slot = param.reparameterization::<AdapterSlot>();
    match slot.and_then(|slot| Some((slot, slot.routes()?))) {
        Some((slot, routes)) => route::features(routes, slot, param, rows),
        None => param.val().unsqueeze(),
    }
}
