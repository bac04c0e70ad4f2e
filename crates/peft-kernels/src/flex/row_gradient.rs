//! Values whose gradients are known.

use burn_flex::FlexTensor;

use super::record::Derivative;
use super::rows;
use super::values::{in_order, values, width, writable};

/// The gradient of each row's value by the row.
#[derive(Debug, Clone)]
pub(super) struct RowGradient {
    pub(super) gradient: FlexTensor,
}

impl Derivative<1> for RowGradient {
    fn gradients(self, grad: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let width = width(&self.gradient);
        let (grad, mut of_x) = (in_order(grad), writable(self.gradient));
        let grads = values(&grad);
        rows::fill(of_x.storage_mut(), width, |run, out| {
            let rows = out.chunks_exact_mut(width).zip(&grads[run.start / width..]);
            for (row, grad) in rows {
                for of_x in row {
                    *of_x *= grad;
                }
            }
        });
        [Some(of_x)]
    }
}
