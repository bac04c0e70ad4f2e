//! Sums of squares and scaled vectors.

use burn::tensor::Shape;
use burn_flex::FlexTensor;

use super::rows;
use super::values::{in_order, tensor, values, writable};

/// `Σ x²`, by runs in their order.
pub(super) fn sum_of_squares(x: FlexTensor) -> FlexTensor {
    let x = in_order(x);
    let all = values(&x);
    let sum = rows::sum_runs(all.len(), 1, 1, |run, sum| {
        let x = &all[run];
        sum[0] = rows::sum(x.len(), |i| x[i] * x[i]);
    });
    tensor(sum, Shape::from(vec![1]))
}

/// `factor · x`, in its own memory where nothing else holds it.
pub(super) fn scale(x: FlexTensor, factor: f64) -> FlexTensor {
    let mut x = writable(x);
    rows::fill(x.storage_mut(), 1, |_, out| {
        for out in out {
            *out *= factor as f32;
        }
    });
    x
}
