//! [`AdapterSchedule`]: what changes adapters between two steps.

use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use serde_json::Value;

use crate::AdapterSlot;

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
    /// a changed adapter back, and [`with_value`](crate::with_value) gives a parameter another
    /// value, as which it trains on. `gradients` are those that the update was made with, clipped
    /// if they were, of the adapters' parameters by their ids.
    fn after_step(
        &self,
        step: usize,
        total_steps: usize,
        slots: &mut [(String, AdapterSlot)],
        gradients: &GradientsParams,
    );

    /// What it adds to the loss of a step, of the adapters alone, `[1]`: its gradients join those
    /// of the rows before they are clipped. The loss that is reported is without it.
    fn penalty(&self, slots: &[(String, AdapterSlot)]) -> Option<Tensor<1>> {
        let _ = slots;
        None
    }

    /// Whether it changes the adapters' parameter at `path`, which does not train.
    fn keeps(&self, path: &str) -> bool {
        let _ = path;
        false
    }

    /// What tells it from others, in the state of a run: it resumes only with the same.
    fn settings(&self) -> Value;
}
