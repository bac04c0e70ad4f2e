//! The forward of layers on which rows of a batch go through different adapters.
//!
//! Rows of one adapter are put together, each group goes through its adapter, and the rows are put
//! back. `x W` is formed once, for all groups whose adapters give the layer below their own input.

use burn::module::Param;
use burn::nn::{Embedding, Linear};
use burn::tensor::{Device, Int, Tensor};

use super::Routes;
use crate::slot::{ActiveAdapter, effective_weight};
use crate::{AdapterSlot, FrozenEmbedding, FrozenLinear, FrozenWeight, LayerInput};

/// How rows choose on a linear layer: on its weight, or on its bias alone.
pub(crate) fn routes_of(layer: &Linear) -> Option<&Routes> {
    let of_weight = layer.weight.reparameterization::<AdapterSlot>();
    of_weight
        .and_then(AdapterSlot::routes)
        .or_else(|| bias_slot(layer)?.routes())
}

fn bias_slot(layer: &Linear) -> Option<&AdapterSlot> {
    layer.bias.as_ref()?.reparameterization()
}

/// A group of rows on a linear layer.
struct Group<'a> {
    rows: usize,
    acting: Vec<ActiveAdapter<'a>>,
    bias: Option<Tensor<1>>,
}

impl<'a> Group<'a> {
    fn new(layer: &'a Linear, name: Option<&str>, rows: usize) -> Self {
        let slot = layer.weight.reparameterization::<AdapterSlot>();
        let bias = layer.bias.as_ref().map(|bias| {
            let own = bias_slot(layer).and_then(|slot| slot.chosen(name));
            effective_weight(FrozenWeight::of(bias), own.as_slice()).dense()
        });
        let acting = slot.and_then(|slot| slot.chosen(name));
        Self {
            rows,
            acting: acting.into_iter().collect(),
            bias,
        }
    }

    /// Whether the base weight is given the layer's own input.
    fn shares_input(&self) -> bool {
        let mut acting = self.acting.iter();
        acting.all(|active| active.adapter.shares_input())
    }
}

/// [`linear`](crate::linear), `x` of `[rows, .., d_in]`.
pub(crate) fn linear<const D: usize>(routes: &Routes, layer: &Linear, x: Tensor<D>) -> Tensor<D> {
    let weight = FrozenWeight::of(&layer.weight);
    let mut dims = x.dims();
    let [d_in, d_out] = weight.dims();
    assert!(
        D > 1 && dims[D - 1] == d_in,
        "a linear layer of {d_in} inputs was given {dims:?} for rows that choose their adapters"
    );
    routes.check_rows(dims[0]);
    refuse_gradients(&layer.weight.lazy_device());
    let each = dims[1..D - 1].iter().product::<usize>(); // inputs a row
    let x = routes.together(x.reshape([dims[0], each * d_in]));
    let groups: Vec<Group<'_>> = routes
        .groups()
        .map(|(name, rows)| Group::new(layer, name, rows))
        .collect();

    let mut start = 0;
    let inputs: Vec<Tensor<2>> = groups
        .iter()
        .map(|group| {
            let x = x.clone().narrow(0, start, group.rows);
            start += group.rows;
            x.reshape([group.rows * each, d_in])
        })
        .collect();
    let sharing: Vec<Tensor<2>> = groups
        .iter()
        .zip(&inputs)
        .filter(|(group, _)| group.shares_input())
        .map(|(_, x)| x.clone())
        .collect();
    let product = match sharing.len() {
        0 => None,
        n if n == groups.len() => Some(x.reshape([dims[0] * each, d_in])),
        _ => Some(Tensor::cat(sharing, 0)),
    }
    .map(|x| weight.product(x, None)); // [inputs, d_out]

    let mut start = 0;
    let outputs: Vec<Tensor<2>> = groups
        .iter()
        .zip(inputs)
        .map(|(group, x)| {
            let n = group.rows * each;
            let product = product
                .clone()
                .filter(|_| group.shares_input())
                .map(|product| {
                    start += n;
                    product.narrow(0, start - n, n)
                });
            let base = FrozenLinear {
                weight: weight.clone(),
                bias: group.bias.clone(),
                below: &group.acting,
            };
            let y = base.forward(LayerInput::multiplied(x, product));
            y.reshape([group.rows, each * d_out])
        })
        .collect();
    dims[D - 1] = d_out;
    routes.apart(outputs).reshape(dims)
}

/// [`embedding`](crate::embedding), `ids` of `[rows, positions]`.
pub(crate) fn embedding(
    routes: &Routes,
    slot: &AdapterSlot,
    layer: &Embedding,
    ids: Tensor<2, Int>,
) -> Tensor<3> {
    let weight = FrozenWeight::of(&layer.weight);
    routes.check_rows(ids.dims()[0]);
    refuse_gradients(&layer.weight.lazy_device());
    let ids = routes.together(ids);
    let mut start = 0;
    let outputs = routes.groups().map(|(name, rows)| {
        let below: Vec<ActiveAdapter<'_>> = slot.chosen(name).into_iter().collect();
        let ids = ids.clone().narrow(0, start, rows);
        start += rows;
        let base = FrozenEmbedding {
            weight: weight.clone(),
            below: &below,
        };
        base.forward(ids)
    });
    let outputs = outputs.collect();
    routes.apart(outputs)
}

/// [`features`](crate::features): the value of each row's adapter.
pub(crate) fn features<const D: usize>(
    routes: &Routes,
    slot: &AdapterSlot,
    param: &Param<Tensor<1>>,
    rows: usize,
) -> Tensor<D> {
    let base = FrozenWeight::of(param);
    routes.check_rows(rows);
    assert!(D > 1, "features of rows need an axis of rows");
    refuse_gradients(&param.lazy_device());
    let of_groups = routes
        .groups()
        .map(|(name, _)| effective_weight(base.clone(), slot.chosen(name).as_slice()).dense())
        .collect();
    let mut dims = [1; D];
    (dims[0], dims[D - 1]) = (rows, base.dims()[0]);
    routes.by_row(Tensor::stack(of_groups, 0)).reshape(dims)
}

/// A model that has gone back to training has to be told whose rows are whose again.
fn refuse_gradients(device: &Device) {
    assert!(
        !device.is_autodiff(),
        "adapters were chosen for the rows of a batch, which holds outside of training only; unroute the model first"
    );
}
