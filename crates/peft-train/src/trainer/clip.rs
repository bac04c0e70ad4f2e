//! Clipping by the norm of all gradients together, as PyTorch's `clip_grad_norm_` does. Burn's own
//! clips each parameter for itself.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use peft_kernels::{scale, sum_of_squares};

use super::device_sums::DeviceSums;

/// Scale the gradients of `model` so that their joint norm is at most `max_norm`; the norm before,
/// and the gradients, each on its own device. Squares are summed on each device, and these sums in
/// the order in which the model has the devices.
pub fn clip_global_norm<M: Module>(
    model: &M,
    grads: GradientsParams,
    max_norm: Option<f64>,
) -> (f64, GradientsParams) {
    let mut squares = Squares {
        grads: &grads,
        sums: DeviceSums::default(),
    };
    model.visit(&mut squares);
    let norm = squares.sums.read().sqrt();
    let factor = match max_norm {
        Some(max_norm) if norm > max_norm => max_norm / (norm + 1e-6),
        _ => return (norm, grads),
    };
    let mut scale = Scale { grads, factor };
    model.visit(&mut scale);
    (norm, scale.grads)
}

struct Squares<'a> {
    grads: &'a GradientsParams,
    sums: DeviceSums,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.get::<D>(param.id) {
            self.sums.add(sum_of_squares(grad));
        }
    }
}

struct Scale {
    grads: GradientsParams,
    factor: f64,
}

impl ModuleVisitor for Scale {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.remove::<D>(param.id) {
            self.grads.register(param.id, scale(grad, self.factor));
        }
    }
}
