//! [`AdamW`]: Burn's AdamW, state and bits, with its step as one operation.

use burn::optim::{AdamWState, AdaptiveMomentumState, LearningRate, ModuleOptimizer, Optimizer};
use burn::tensor::{Device, Tensor};
use peft_kernels::AdamWStep;

use super::TrainConfig;

/// The optimizer of a run. Its state is that of Burn's own, in memory and on disk.
#[derive(Debug, Clone)]
pub(super) struct AdamW {
    betas: [f32; 2],
    epsilon: f32,
    weight_decay: f32,
}

impl AdamW {
    pub(super) fn new(config: &TrainConfig) -> Self {
        Self {
            betas: [config.betas.0 as f32, config.betas.1 as f32],
            epsilon: config.epsilon as f32,
            weight_decay: config.weight_decay as f32,
        }
    }

    /// One that holds no moments yet.
    pub(super) fn fresh(&self) -> ModuleOptimizer {
        ModuleOptimizer::from(self.clone())
    }
}

impl Optimizer for AdamW {
    type State<const D: usize> = AdamWState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        param: Tensor<D>,
        grad: Tensor<D>,
        state: Option<AdamWState<D>>,
    ) -> (Tensor<D>, Option<AdamWState<D>>) {
        let (before, moments) = match state {
            Some(AdamWState { momentum }) => {
                (momentum.time, Some([momentum.moment_1, momentum.moment_2]))
            }
            None => (0, None),
        };
        let step = AdamWStep {
            beta_1: self.betas[0],
            beta_2: self.betas[1],
            epsilon: self.epsilon,
            weight_decay: self.weight_decay,
            rate,
            time: before + 1,
        };
        let (param, [first, second]) = step.update(param, grad, moments);
        let momentum = AdaptiveMomentumState::new(step.time, first, second);
        (param, Some(AdamWState::new(momentum)))
    }

    fn to_device<const D: usize>(mut state: AdamWState<D>, device: &Device) -> AdamWState<D> {
        state.momentum = state.momentum.to_device(device);
        state
    }
}
