//! What an [`AdapterSchedule`] is given of a step.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Tensor;
use peft_core::{AdapterSchedule, slots};

/// The gradients of a step with those of what a schedule adds to its loss.
pub(super) fn with_penalty<M: Module>(
    schedule: Option<&dyn AdapterSchedule>,
    model: &M,
    gradients: GradientsParams,
) -> GradientsParams {
    let penalty = schedule.and_then(|schedule| schedule.penalty(&slots(model)));
    let Some(penalty) = penalty else {
        return gradients;
    };
    let more = GradientsParams::from_grads(penalty.backward(), model);
    let mut both = GradientsAccumulator::new();
    both.accumulate(model, gradients);
    both.accumulate(model, more);
    both.grads()
}

/// Handles to the gradients of the parameters of adapters.
pub(super) fn of_adapters<M: Module>(model: &M, gradients: &GradientsParams) -> GradientsParams {
    struct Copy<'a>(&'a GradientsParams, GradientsParams);
    impl ModuleVisitor for Copy<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.0.get::<D>(param.id) {
                self.1.register(param.id, gradient);
            }
        }
    }
    let mut copy = Copy(gradients, GradientsParams::new());
    for (_, slot) in peft_core::slots(model) {
        slot.visit(&mut copy);
    }
    copy.1
}
