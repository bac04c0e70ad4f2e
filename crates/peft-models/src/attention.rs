//! Scaled dot-product attention. *Attention Is All You Need*, Vaswani et al. 2017, [arXiv:1706.03762](https://arxiv.org/abs/1706.03762).

use burn::tensor::{DType, Tensor};
use peft_kernels::{matmul, matmul_to_merge, softmax};

use crate::mask::AttentionBias;
use crate::softcap;

/// `softmax(c tanh(Q Kᵀ / c) + bias) V` in each head, the scores in f32; without a soft cap `c`, `softmax(Q Kᵀ + bias) V`.
///
/// Each key and value head serves `groups` query heads, one after the other. Queries come scaled.
///
/// # Shapes
///
/// `q` and the result are `[batch, groups · kv_heads, positions, head_dim]`, `k` and `v` `[batch, kv_heads, keys, head_dim]`.
pub(crate) fn attend(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    bias: &AttentionBias,
    groups: usize,
    softcap: Option<f64>,
) -> Tensor<4> {
    attend_with(q, k, v, bias, groups, softcap, |weights| weights)
}

/// As [`attend`], with something done to the weights, `[batch, kv_heads, groups · positions, keys]`: dropout, for instance.
pub(crate) fn attend_with(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    bias: &AttentionBias,
    groups: usize,
    softcap: Option<f64>,
    edit: impl FnOnce(Tensor<4>) -> Tensor<4>,
) -> Tensor<4> {
    let dims = q.dims();
    let [batch, heads, positions, head_dim] = dims;
    // The query heads of a group become rows, so that keys and values need no copies.
    let q = match groups {
        1 => q,
        _ => q.reshape([batch, heads / groups, groups * positions, head_dim]),
    };
    let dtype = q.dtype();
    let scores = matmul(q, k.swap_dims(2, 3)).cast(DType::F32); // [batch, kv_heads, groups · positions, keys]
    let scores = match softcap {
        Some(cap) => softcap::softcap(scores, cap),
        None => scores,
    };
    let weights = softmax(bias.add_to(scores, groups)).cast(dtype);
    match groups {
        1 => matmul_to_merge(edit(weights), v),
        _ => matmul(edit(weights), v).reshape(dims),
    }
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

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::mask::Sight;

    fn of(shape: [usize; 4], seed: f32, device: &Device) -> (Vec<f32>, Tensor<4>) {
        let values: Vec<f32> = (0..shape.iter().product())
            .map(|i: usize| 1.5 * (seed + i as f32 * 1.7).sin())
            .collect();
        let tensor = Tensor::from_data(TensorData::new(values.clone(), shape), device);
        (values, tensor)
    }

    /// Attention by its definition, number by number.
    #[test]
    fn it_is_its_definition() {
        let device = Device::flex();
        let (batch, kv_heads, groups, positions, keys, width) = (2, 2, 3, 4, 6, 5);
        let heads = kv_heads * groups;
        let (qs, q) = of([batch, heads, positions, width], 1.0, &device);
        let (ks, k) = of([batch, kv_heads, keys, width], 2.0, &device);
        let (vs, v) = of([batch, kv_heads, keys, width], 3.0, &device);
        let cached = keys - positions;
        let bias = AttentionBias::new(Sight::CAUSAL, positions, cached, None, &device);
        for softcap in [None, Some(2.0f64)] {
            let found = attend(q.clone(), k.clone(), v.clone(), &bias, groups, softcap);
            let found: Vec<f32> = found.into_data().iter().collect();
            assert_eq!(found.len(), qs.len());
            for (i, found) in found.into_iter().enumerate() {
                let (row, feature) = (i / width, i % width);
                let (head, position) = (row / positions, row % positions);
                let key = |key| (head / groups * keys + key) * width; // the batch's rows follow each other
                let weights: Vec<f64> = (0..=cached + position)
                    .map(|j| {
                        let score: f64 = (0..width)
                            .map(|f| f64::from(qs[row * width + f] * ks[key(j) + f]))
                            .sum();
                        softcap
                            .map_or(score, |cap| cap * (score / cap).tanh())
                            .exp()
                    })
                    .collect();
                let mixed: f64 = weights
                    .iter()
                    .enumerate()
                    .map(|(j, weight)| weight * f64::from(vs[key(j) + feature]))
                    .sum();
                let expected = mixed / weights.iter().sum::<f64>();
                assert!(
                    (f64::from(found) - expected).abs() < 1e-5,
                    "element {i}: {found}, expected {expected}"
                );
            }
        }
    }
}
