//! Scaled dot-product attention. *Attention Is All You Need*, Vaswani et al. 2017,
//! [arXiv:1706.03762](https://arxiv.org/abs/1706.03762).

mod dropout;
#[cfg(feature = "flex")]
pub(crate) mod rule;
mod sight;
mod visibility;

use burn::tensor::{DType, Tensor};

pub use dropout::Dropout;
#[cfg(feature = "flex")]
pub(crate) use sight::HIDDEN;
pub use sight::{EVERY_SEQUENCE, Sight};
pub use visibility::Visibility;

use crate::{matmul, matmul_to_merge, softcap, softmax};

/// `softmax(c tanh(Q Kᵀ / c)) V` in each head over the keys that a query sees, the scores in f32;
/// without a soft cap `c`, `softmax(Q Kᵀ) V`. Queries come scaled. With dropout the weights are
/// multiplied with what it draws.
///
/// Each key and value head serves as many query heads, one after the other, as there are of these
/// for each of it; nothing is copied for them. `k` and `v` may be views of longer ones.
///
/// # Shapes
///
/// `q` and the result are `[batch, groups · kv_heads, queries, head_dim]`, `k` and `v`
/// `[batch, kv_heads, keys, head_dim]`.
///
/// # Panics
///
/// Where the shapes do not fit each other or what `seen` says.
pub fn attention(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    seen: &Visibility,
    softcap: Option<f64>,
    dropout: Option<Dropout>,
) -> Tensor<4> {
    let ([batch, heads, queries, width], [_, kv_heads, keys, _]) = (q.dims(), k.dims());
    assert!(
        kv_heads > 0
            && heads.is_multiple_of(kv_heads)
            && k.dims() == [batch, kv_heads, keys, width],
        "{heads} heads of queries and keys of the shape {:?}",
        k.dims()
    );
    assert_eq!(k.dims(), v.dims(), "keys and values differ in their shape");
    assert_eq!(
        (queries, keys),
        (seen.queried(), seen.keys()),
        "queries and keys of another pass"
    );
    #[cfg(feature = "flex")]
    if [&q, &k, &v].into_iter().all(crate::fuses) {
        let spec = crate::flex::Spec {
            rule: seen.rule(),
            softcap,
            dropout,
        };
        return crate::flex::attend(q, k, v, spec);
    }
    dense(q, k, v, seen, softcap, dropout)
}

/// The definition, with a matrix of weights.
fn dense(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    seen: &Visibility,
    cap: Option<f64>,
    dropout: Option<Dropout>,
) -> Tensor<4> {
    let dims = q.dims();
    let [batch, heads, queries, head_dim] = dims;
    let kv_heads = k.dims()[1];
    let groups = heads / kv_heads;
    // The query heads of a group become rows, so that keys and values need no copies.
    let q = match groups {
        1 => q,
        _ => q.reshape([batch, kv_heads, groups * queries, head_dim]),
    };
    let dtype = q.dtype();
    // [batch, kv_heads, groups · queries, keys]
    let scores = matmul(q, k.swap_dims(2, 3)).cast(DType::F32);
    let scores = match cap {
        Some(cap) => softcap(scores, cap),
        None => scores,
    };
    let weights = softmax(seen.hide(scores)).cast(dtype);
    let weights = match dropout {
        Some(dropout) => {
            let factors = dropout.mask(weights.dims(), &weights.device());
            weights * factors.cast(dtype)
        }
        None => weights,
    };
    match groups {
        1 => matmul_to_merge(weights, v),
        _ => matmul(weights, v).reshape(dims),
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Int, TensorData};

    use super::*;

    fn of(shape: [usize; 4], seed: f32, device: &Device) -> (Vec<f32>, Tensor<4>) {
        let values: Vec<f32> = (0..shape.iter().product())
            .map(|i: usize| 1.5 * (seed + i as f32 * 1.7).sin())
            .collect();
        let tensor = Tensor::from_data(TensorData::new(values.clone(), shape), device);
        (values, tensor)
    }

    /// A device's own type of whole numbers may be another than that of what is made here.
    #[test]
    fn whole_numbers_may_be_of_any_type() {
        let device = Device::flex();
        let ints = |values: [[i64; 3]; 1], dtype| {
            Some(Tensor::<2, Int>::from_data(
                TensorData::from(values),
                (&device, dtype),
            ))
        };
        let seen = |dtype| {
            Visibility::new(Sight::CAUSAL, 0, 3)
                .with_segments(ints([[0, 0, 1]], dtype))
                .with_queries(ints([[2, 0, 1]], dtype))
                .with_places(ints([[0, 1, 0]], dtype))
        };
        let (_, q) = of([1, 2, 3, 4], 1.0, &device);
        let (_, k) = of([1, 1, 3, 4], 2.0, &device);
        let attended = |dtype| {
            let (q, k) = (q.clone(), k.clone());
            dense(q, k.clone(), k, &seen(dtype), None, None).into_data()
        };
        assert_eq!(attended(DType::I32), attended(DType::I64));
    }

    /// The definition, number by number.
    #[test]
    fn it_is_its_definition() {
        let device = Device::flex();
        let (batch, kv_heads, groups, positions, keys, width) = (2, 2, 3, 4, 6, 5);
        let heads = kv_heads * groups;
        let (qs, q) = of([batch, heads, positions, width], 1.0, &device);
        let (ks, k) = of([batch, kv_heads, keys, width], 2.0, &device);
        let (vs, v) = of([batch, kv_heads, keys, width], 3.0, &device);
        let cached = keys - positions;
        let seen = Visibility::new(Sight::CAUSAL, cached, positions);
        for softcap in [None, Some(2.0f64)] {
            let found = dense(q.clone(), k.clone(), v.clone(), &seen, softcap, None);
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
