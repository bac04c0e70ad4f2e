//! Columns with factors.

use burn::backend::Flex;
use burn::tensor::{Shape, Tensor};
use burn_flex::FlexTensor;

use super::is_here;
use super::made::Kept;
use super::record::Derivative;
use super::rows;
use super::values::{in_order, tensor, values, width, writable};

/// `x ∘ f`, in the memory of `x` where nothing else holds it.
pub(super) fn scale_columns([x, factors]: [FlexTensor; 2]) -> FlexTensor {
    let (mut x, factors) = (writable(x), in_order(factors));
    let factors = values(&factors);
    rows::fill(x.storage_mut(), factors.len(), |_, out| {
        for row in out.chunks_exact_mut(factors.len()) {
            for (x, factor) in row.iter_mut().zip(factors) {
                *x *= factor;
            }
        }
    });
    x
}

/// Of the columns their gradient needs the factors, of the factors theirs the columns.
#[derive(Debug, Clone)]
pub(super) struct ScaleColumns {
    x: Option<Kept>,
    factors: Option<FlexTensor>,
}

impl ScaleColumns {
    pub(super) fn keep([x, factors]: [FlexTensor; 2], tracked: [bool; 2]) -> Self {
        Self {
            x: tracked[1].then(|| Kept::new(x)),
            factors: tracked[0].then_some(factors),
        }
    }
}

impl Derivative<2> for ScaleColumns {
    fn gradients(self, grad: FlexTensor, wanted: [bool; 2]) -> [Option<FlexTensor>; 2] {
        let grad = in_order(grad);
        let of_factors = self.x.filter(|_| wanted[1]).map(|x| {
            let x = in_order(x.get());
            let (all, grads, width) = (values(&x), values(&grad), width(&x));
            let sum = rows::sum_runs(all.len(), width, width, |run, sum| {
                let rows = all[run.clone()].chunks_exact(width);
                for (x, grad) in rows.zip(grads[run].chunks_exact(width)) {
                    for ((sum, x), grad) in sum.iter_mut().zip(x).zip(grad) {
                        *sum += x * grad;
                    }
                }
            });
            tensor(sum, Shape::from(vec![width]))
        });
        let of_x = self.factors.filter(|_| wanted[0]);
        [
            of_x.map(|factors| scale_columns([grad, factors])),
            of_factors,
        ]
    }
}

/// Whether both are on `flex`, in the same memory and read in the same way.
pub(crate) fn is_same_tensor<const D: usize>(a: &Tensor<D>, b: &Tensor<D>) -> bool {
    let held = |x: &Tensor<D>| {
        let inner = is_here(x).then(|| x.clone().without_autodiff())?;
        inner.try_into_primitive::<Flex>().ok()
    };
    let (Some(a), Some(b)) = (held(a), held(b)) else {
        return false;
    };
    let (of_a, of_b) = (a.layout(), b.layout());
    a.dtype() == b.dtype()
        && a.bytes().as_ptr() == b.bytes().as_ptr()
        && of_a.shape() == of_b.shape()
        && of_a.strides() == of_b.strides()
        && of_a.start_offset() == of_b.start_offset()
}
