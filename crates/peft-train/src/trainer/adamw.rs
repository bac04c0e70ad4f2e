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

#[cfg(test)]
mod tests {
    use burn::module::{Module, Param};
    use burn::optim::{AdamWConfig, GradientsParams};
    use burn::tensor::{Device, TensorData};

    use super::*;

    #[derive(Module, Debug)]
    struct One {
        weight: Param<Tensor<2>>,
    }

    /// Steps of the same gradients give the same bits by Burn's optimizer.
    #[test]
    fn it_is_burns_to_the_bit() {
        let config = TrainConfig {
            betas: (0.8, 0.95),
            epsilon: 1e-6,
            weight_decay: 0.3,
            ..TrainConfig::default()
        };
        let device = Device::flex().autodiff();
        let of = |seed: f32| -> Tensor<2> {
            let values: Vec<f32> = (0..35_000).map(|i| (seed + i as f32 * 1.7).sin()).collect();
            Tensor::from_data(TensorData::new(values, [70, 500]), &device)
        };
        let burns = AdamWConfig::new()
            .with_beta_1(0.8)
            .with_beta_2(0.95)
            .with_epsilon(1e-6)
            .with_weight_decay(0.3);
        let run = |mut optimizer: ModuleOptimizer| {
            let mut one = One {
                weight: Param::from_tensor(of(0.5)),
            };
            for step in 0..4 {
                let loss = (one.weight.val() * of(step as f32)).sum();
                let grads = GradientsParams::from_grads(loss.backward(), &one);
                one = optimizer.step(0.03 / f64::from(step + 1), one, grads);
            }
            one.weight.val().into_data()
        };
        let found = run(AdamW::new(&config).fresh());
        assert_ne!(found, of(0.5).into_data());
        assert_eq!(found, run(burns.init()));
    }
}
