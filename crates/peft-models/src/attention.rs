//! The heads of a layer, apart and merged.

use burn::nn;
use burn::tensor::{Device, Tensor};
use peft_kernels::Dropout;

/// What a layer of dropout draws for the weights of attention; none where it does nothing.
pub(crate) fn drawn(layer: &nn::Dropout, device: &Device) -> Option<Dropout> {
    let trains = layer.training.is_enabled();
    trains.then(|| Dropout::drawn(layer.prob, device)).flatten()
}

/// The features of each head apart, `[batch, positions, n_heads · head_dim]` to `[batch, n_heads, positions, head_dim]`.
pub(crate) fn split_heads(x: Tensor<3>, n_heads: usize) -> Tensor<4> {
    let [batch, positions, width] = x.dims();
    x.reshape([batch, positions, n_heads, width / n_heads])
        .swap_dims(1, 2)
}

/// The inverse of [`split_heads`].
pub(crate) fn merge_heads(x: Tensor<4>) -> Tensor<3> {
    let [batch, n_heads, positions, head_dim] = x.dims();
    x.swap_dims(1, 2)
        .reshape([batch, positions, n_heads * head_dim])
}
