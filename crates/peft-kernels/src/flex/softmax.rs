//! Softmax over the last axis.

use burn_flex::FlexTensor;

use super::math::exp;
use super::record::Derivative;
use super::rows;
use super::values::{values, width, writable};

/// `e^(x − max) / Σ e^(x − max)` in each row.
pub(super) fn softmax([x]: [FlexTensor; 1]) -> FlexTensor {
    let width = width(&x);
    let mut y = writable(x);
    rows::fill(y.storage_mut(), width, |_, out| {
        for row in out.chunks_exact_mut(width) {
            let max = rows::max(row);
            for x in row.iter_mut() {
                *x = exp(*x - max);
            }
            let scale = 1.0 / rows::sum(width, |i| row[i]);
            for x in row {
                *x *= scale;
            }
        }
    });
    y
}

/// Its output; the gradient is `y ∘ (g − Σ y ∘ g)`.
#[derive(Debug, Clone)]
pub(super) struct Softmax {
    pub(super) y: FlexTensor,
}

impl Derivative<1> for Softmax {
    fn gradients(self, grad: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let (ys, width) = (values(&self.y), width(&grad));
        let mut grad = writable(grad);
        rows::fill(grad.storage_mut(), width, |run, out| {
            let ys = ys[run].chunks_exact(width);
            for (grad, y) in out.chunks_exact_mut(width).zip(ys) {
                let mean = rows::sum(width, |i| y[i] * grad[i]);
                for (grad, y) in grad.iter_mut().zip(y) {
                    *grad = y * (*grad - mean);
                }
            }
        });
        [Some(grad)]
    }
}
