//! Softmax over the last axis.

use burn_flex::FlexTensor;

use super::math::exp;
use super::record::Derivative;
use super::rows;
use super::values::{in_order, shape, tensor, values, width};

/// `e^(x − max) / Σ e^(x − max)` in each row.
pub(super) fn softmax([x]: [FlexTensor; 1]) -> FlexTensor {
    let x = in_order(x);
    let (all, width) = (values(&x), width(&x));
    let mut out = vec![0.0; all.len()];
    rows::fill(&mut out, width, |run, out| {
        let rows = all[run].chunks_exact(width);
        for (out, x) in out.chunks_exact_mut(width).zip(rows) {
            let max = rows::max(x);
            for (out, x) in out.iter_mut().zip(x) {
                *out = exp(x - max);
            }
            let scale = 1.0 / rows::sum(width, |i| out[i]);
            for out in out {
                *out *= scale;
            }
        }
    });
    tensor(out, shape(&x))
}

/// Its output; the gradient is `y ∘ (g − Σ y ∘ g)`.
#[derive(Debug, Clone)]
pub(super) struct Softmax {
    pub(super) y: FlexTensor,
}

impl Derivative<1> for Softmax {
    fn gradients(self, grad: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let grad = in_order(grad);
        let (ys, grads, width) = (values(&self.y), values(&grad), width(&grad));
        let mut out = vec![0.0; grads.len()];
        rows::fill(&mut out, width, |run, out| {
            let inputs = ys[run.clone()]
                .chunks_exact(width)
                .zip(grads[run].chunks_exact(width));
            for (out, (y, grad)) in out.chunks_exact_mut(width).zip(inputs) {
                let mean = rows::sum(width, |i| y[i] * grad[i]);
                for ((out, y), grad) in out.iter_mut().zip(y).zip(grad) {
                    *out = y * (grad - mean);
                }
            }
        });
        [Some(tensor(out, shape(&grad)))]
    }
}
