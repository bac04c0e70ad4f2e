//! [`AdapterSchedule`]: what changes adapters between two steps.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use peft_core::AdapterSlot;
use serde_json::Value;

/// Changes a model's adapters after a step, with the step's gradients: a budget of ranks that moves
/// from layer to layer, as in AdaLoRA, for instance.
///
/// It has no state of its own. What it knows lies in the adapters, as parameters that do not train
/// and that it [keeps](Self::keeps): a run's state has those, so a run that goes on gives the bits
/// of one that was not interrupted.
pub trait AdapterSchedule: Sync {
    /// Change the adapters after the update of `step`, from 0, of so many.
    ///
    /// `slots` are those of the model with the paths of their parameters; [`AdapterSlot::set`] puts
    /// a changed adapter back, and [`with_value`](peft_core::with_value) gives a parameter another
    /// value, as which it trains on. `gradients` are those that the update was made with, clipped
    /// if they were, of the adapters' parameters by their ids.
    fn after_step(
        &self,
        step: usize,
        total_steps: usize,
        slots: &mut [(String, AdapterSlot)],
        gradients: &GradientsParams,
    );

    /// Whether it changes the adapters' parameter at `path`, which does not train.
    fn keeps(&self, path: &str) -> bool {
        let _ = path;
        false
    }

    /// What tells it from others, in the state of a run: it resumes only with the same.
    fn settings(&self) -> Value;
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
