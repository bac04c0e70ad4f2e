//! [`AdamW`]: the optimizer of a run, and the moments that it holds.

use std::any::Any;
use std::collections::{HashMap, HashSet};

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use peft_kernels::AdamWStep;

use super::TrainConfig;
use super::lazy_tensor::LazyTensor;

/// AdamW, with moments of what has a gradient.
pub(super) struct AdamW {
    betas: [f32; 2],
    epsilon: f32,
    weight_decay: f32,
    held: HashMap<ParamId, Box<dyn AnyMoments>>,
}

/// A parameter's moments, first and second, and the number of steps that made them.
#[derive(Debug, Clone)]
pub(super) struct Moments<T> {
    pub(super) time: usize,
    pub(super) both: [T; 2],
}

/// Moments of any rank.
trait AnyMoments: Any + Send + Sync {
    fn kept(&self) -> Moments<LazyTensor>;
}

impl<const D: usize> AnyMoments for Moments<Tensor<D>> {
    fn kept(&self) -> Moments<LazyTensor> {
        Moments {
            time: self.time,
            both: self.both.clone().map(LazyTensor::on_device),
        }
    }
}

impl AdamW {
    /// One that holds no moments yet.
    pub(super) fn new(config: &TrainConfig) -> Self {
        Self {
            betas: [config.betas.0 as f32, config.betas.1 as f32],
            epsilon: config.epsilon as f32,
            weight_decay: config.weight_decay as f32,
            held: HashMap::new(),
        }
    }

    /// Update what has a gradient and a learning rate.
    pub(super) fn step<M: Module>(
        &mut self,
        rate: impl Fn(ParamId) -> Option<f64>,
        model: M,
        grads: GradientsParams,
    ) -> M {
        model.map(&mut Update {
            adamw: self,
            rate,
            grads,
        })
    }

    /// Handles to the moments of a parameter, if it has any.
    pub(super) fn kept(&self, id: ParamId) -> Option<Moments<LazyTensor>> {
        self.held.get(&id).map(|held| held.kept())
    }

    /// Hold these moments of a parameter.
    pub(super) fn hold<const D: usize>(&mut self, id: ParamId, moments: Moments<Tensor<D>>) {
        self.held.insert(id, Box::new(moments));
    }

    pub(super) fn forget_all_but(&mut self, ids: &HashSet<ParamId>) {
        self.held.retain(|id, _| ids.contains(id));
    }

    /// One parameter's update.
    fn update<const D: usize>(
        &mut self,
        id: ParamId,
        rate: f64,
        param: Tensor<D>,
        grad: Tensor<D>,
    ) -> Tensor<D> {
        // What is taken out is the only handle to it, so that it is changed in place.
        let held = self.held.remove(&id).map(|held| held as Box<dyn Any>);
        let before: Option<Box<Moments<Tensor<D>>>> = held.and_then(|held| held.downcast().ok());
        let (time, both) = before.map_or((0, None), |before| (before.time, Some(before.both)));
        let step = AdamWStep {
            beta_1: self.betas[0],
            beta_2: self.betas[1],
            epsilon: self.epsilon,
            weight_decay: self.weight_decay,
            rate,
            time: time + 1,
        };
        let (param, both) = step.update(param, grad, both);
        let time = step.time;
        self.hold(id, Moments { time, both });
        param
    }
}

struct Update<'a, F> {
    adamw: &'a mut AdamW,
    rate: F,
    grads: GradientsParams,
}

impl<F: Fn(ParamId) -> Option<f64>> ModuleMapper for Update<'_, F> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some((grad, rate)) = self.grads.remove(param.id).zip((self.rate)(param.id)) else {
            return param;
        };
        let (id, tensor, mapper) = param.consume();
        let (trains, checkpointing) = (
            tensor.is_require_grad(),
            tensor.gradient_checkpointing_strategy(),
        );
        let updated = self.adamw.update(id, rate, tensor.inner(), grad);
        let mut tensor = Tensor::from_inner(updated);
        if let Some(strategy) = checkpointing {
            tensor = tensor.with_gradient_checkpointing_strategy(strategy);
        }
        Param::from_mapped_value(id, tensor.set_require_grad(trains), mapper)
    }
}

#[cfg(test)]
mod tests {
    use burn::module::{Module, Param};
    use burn::optim::AdamWConfig;
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
        let run = |step: &mut dyn FnMut(f64, One, GradientsParams) -> One| {
            let mut one = One {
                weight: Param::from_tensor(of(0.5)),
            };
            for at in 0..4 {
                let loss = (one.weight.val() * of(at as f32)).sum();
                let grads = GradientsParams::from_grads(loss.backward(), &one);
                one = step(0.03 / f64::from(at + 1), one, grads);
            }
            one.weight.val().into_data()
        };
        let mut ours = AdamW::new(&config);
        let found = run(&mut |rate, one, grads| ours.step(|_| Some(rate), one, grads));
        assert_ne!(found, of(0.5).into_data());
        let mut burns = burns.init();
        let expected = run(&mut |rate, one, grads| burns.step(rate, one, grads));
        assert_eq!(found, expected);
    }
}
