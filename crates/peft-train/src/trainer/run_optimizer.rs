//! [`RunOptimizer`]: the optimizer of a run, and the moments that it holds.

use std::any::Any;
use std::collections::{HashMap, HashSet};

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumState;
use burn::optim::{
    Adafactor, AdafactorConfig, AdafactorState, AdjustLrFn, GradientsParams, Lion, LionConfig,
    LionState, Muon, MuonConfig, MuonState, Optimizer as _,
};
use burn::tensor::Tensor;
use peft_kernels::{AdamWStep, Blockwise8};

use super::lazy_tensor::LazyTensor;
use super::{Optimizer, TrainConfig};

/// The optimizer of a run, with moments of what has a gradient.
pub(super) struct RunOptimizer {
    kind: Optimizer,
    betas: [f32; 2],
    epsilon: f32,
    weight_decay: f32,
    lion: Lion,
    adafactor: Adafactor,
    muon: Muon,
    held: HashMap<ParamId, Box<dyn AnyMoments>>,
}

/// A parameter's moments, in the optimizer's order, and the number of steps that made them.
#[derive(Debug, Clone)]
pub(super) struct Moments<T> {
    pub(super) time: usize,
    pub(super) tensors: Vec<T>,
}

/// Moments of any rank.
pub(super) trait AnyMoments: Any + Send + Sync {
    fn kept(&self) -> Moments<LazyTensor>;
}

impl<const D: usize> AnyMoments for Moments<Tensor<D>> {
    fn kept(&self) -> Moments<LazyTensor> {
        let tensors = self.tensors.iter().cloned();
        Moments {
            time: self.time,
            tensors: tensors.map(LazyTensor::on_device).collect(),
        }
    }
}

impl AnyMoments for Moments<Blockwise8> {
    fn kept(&self) -> Moments<LazyTensor> {
        Moments {
            time: self.time,
            tensors: self
                .tensors
                .iter()
                .flat_map(LazyTensor::of_blocks)
                .collect(),
        }
    }
}

/// What Muon keeps of the moment at each step.
const MUON_MOMENTUM: f64 = 0.95;

impl RunOptimizer {
    /// One that holds no moments yet.
    pub(super) fn new(config: &TrainConfig) -> Self {
        let betas = [config.betas.0 as f32, config.betas.1 as f32];
        let weight_decay = config.weight_decay as f32;
        let lion = LionConfig::new()
            .with_beta_1(betas[0])
            .with_beta_2(betas[1])
            .with_weight_decay(weight_decay);
        let adafactor = AdafactorConfig::new()
            .with_relative_step(false)
            .with_scale_parameter(false)
            .with_weight_decay(weight_decay);
        let muon = MuonConfig::new()
            .with_adjust_lr_fn(AdjustLrFn::MatchRmsAdamW)
            .with_weight_decay(Some(WeightDecayConfig::new(weight_decay)));
        Self {
            kind: config.optimizer,
            betas,
            epsilon: config.epsilon as f32,
            weight_decay,
            lion: lion.build(),
            adafactor: adafactor.build(),
            muon: muon.build(),
            held: HashMap::new(),
        }
    }

    pub(super) fn kind(&self) -> Optimizer {
        self.kind
    }

    /// Update what has a gradient and a learning rate.
    pub(super) fn step<M: Module>(
        &mut self,
        rate: impl Fn(ParamId) -> Option<f64>,
        model: M,
        grads: GradientsParams,
    ) -> M {
        model.map(&mut Update {
            optimizer: self,
            rate,
            grads,
            within: Vec::new(),
        })
    }

    /// Handles to the moments of a parameter, if it has any.
    pub(super) fn kept(&self, id: ParamId) -> Option<Moments<LazyTensor>> {
        self.held.get(&id).map(|held| held.kept())
    }

    /// Hold these moments of a parameter.
    pub(super) fn hold<T>(&mut self, id: ParamId, moments: Moments<T>)
    where
        Moments<T>: AnyMoments,
    {
        self.held.insert(id, Box::new(moments));
    }

    /// What is held of a parameter, and the step that is next. What is taken out is the only handle
    /// to it, so that it is changed in place.
    fn take<T: 'static>(&mut self, id: ParamId) -> (usize, Vec<T>) {
        let held = self.held.remove(&id).map(|held| held as Box<dyn Any>);
        let before: Option<Box<Moments<T>>> = held.and_then(|held| held.downcast().ok());
        let (time, moments) = before.map_or((0, Vec::new()), |old| (old.time, old.tensors));
        (time + 1, moments)
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
        is_embedding: bool,
    ) -> Tensor<D> {
        if self.kind.has_blocks(param.shape().num_elements()) {
            let (time, moments) = self.take(id);
            let step = self.adamw(rate, time);
            let (param, both) = step.update_8bit(param, grad, moments.try_into().ok());
            let tensors = both.into();
            self.hold(id, Moments { time, tensors });
            return param;
        }
        let (time, moments) = self.take(id);
        let (param, tensors) = match self.kind {
            Optimizer::Lion => self.by_lion(rate, param, grad, moments),
            Optimizer::Adafactor => self.by_adafactor(rate, time, param, grad, moments),
            Optimizer::Muon if D == 2 && !is_embedding => self.by_muon(rate, param, grad, moments),
            Optimizer::AdamW | Optimizer::AdamW8Bit | Optimizer::Muon => {
                let step = self.adamw(rate, time);
                let (param, both) = step.update(param, grad, moments.try_into().ok());
                (param, both.into())
            }
        };
        self.hold(id, Moments { time, tensors });
        param
    }

    fn adamw(&self, rate: f64, time: usize) -> AdamWStep {
        AdamWStep {
            beta_1: self.betas[0],
            beta_2: self.betas[1],
            epsilon: self.epsilon,
            weight_decay: self.weight_decay,
            rate,
            time,
        }
    }

    fn by_lion<const D: usize>(
        &self,
        rate: f64,
        param: Tensor<D>,
        grad: Tensor<D>,
        moments: Vec<Tensor<D>>,
    ) -> (Tensor<D>, Vec<Tensor<D>>) {
        let before = moments.into_iter().next().map(LionState::new);
        let (param, after) = self.lion.step(rate, param, grad, before);
        (param, after.into_iter().map(|of| of.momentum).collect())
    }

    fn by_adafactor<const D: usize>(
        &self,
        rate: f64,
        time: usize,
        param: Tensor<D>,
        grad: Tensor<D>,
        moments: Vec<Tensor<D>>,
    ) -> (Tensor<D>, Vec<Tensor<D>>) {
        let mut moments = moments.into_iter();
        let before = moments.next().map(|second_moment| AdafactorState {
            time: time - 1,
            second_moment,
            column_second_moment: moments.next(),
        });
        let (param, after) = self.adafactor.step(rate, param, grad, before);
        let both = |of: AdafactorState<D>| [Some(of.second_moment), of.column_second_moment];
        (param, after.into_iter().flat_map(both).flatten().collect())
    }

    fn by_muon<const D: usize>(
        &self,
        rate: f64,
        param: Tensor<D>,
        grad: Tensor<D>,
        moments: Vec<Tensor<D>>,
    ) -> (Tensor<D>, Vec<Tensor<D>>) {
        let before = moments.into_iter().next();
        // As Burn's own, whose new one cannot be read.
        let after = match &before {
            Some(velocity) => velocity.clone().mul_scalar(MUON_MOMENTUM as f32) + grad.clone(),
            None => grad.clone(),
        };
        let state = before.map(|velocity| MuonState::new(MomentumState::new(velocity)));
        let (param, _) = self.muon.step(rate, param, grad, state);
        (param, vec![after])
    }
}

struct Update<'a, F> {
    optimizer: &'a mut RunOptimizer,
    rate: F,
    grads: GradientsParams,
    /// The types of the modules around.
    within: Vec<String>,
}

impl<F: Fn(ParamId) -> Option<f64>> ModuleMapper for Update<'_, F> {
    fn enter_module(&mut self, _name: &str, container_type: &str) {
        self.within.push(container_type.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.within.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some((grad, rate)) = self.grads.remove(param.id).zip((self.rate)(param.id)) else {
            return param;
        };
        let (id, tensor, mapper) = param.consume();
        let (trains, checkpointing) = (
            tensor.is_require_grad(),
            tensor.gradient_checkpointing_strategy(),
        );
        let is_embedding = self.within.iter().any(|of| of.contains("Embedding"));
        let inner = tensor.inner();
        let updated = self.optimizer.update(id, rate, inner, grad, is_embedding);
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
    use burn::optim::{AdamWConfig, ModuleOptimizer};
    use burn::tensor::{Device, TensorData};

    use super::*;

    #[derive(Module, Debug)]
    struct One {
        weight: Param<Tensor<2>>,
    }

    /// Steps of the same gradients give the same bits by Burn's optimizers.
    #[test]
    fn they_are_burns_to_the_bit() {
        let device = Device::flex().autodiff();
        let of = |seed: f32| -> Tensor<2> {
            let values: Vec<f32> = (0..35_000).map(|i| (seed + i as f32 * 1.7).sin()).collect();
            Tensor::from_data(TensorData::new(values, [70, 500]), &device)
        };
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
        let decay = WeightDecayConfig::new(0.3);
        let burns: [(Optimizer, ModuleOptimizer); 4] = [
            (
                Optimizer::AdamW,
                AdamWConfig::new()
                    .with_beta_1(0.8)
                    .with_beta_2(0.95)
                    .with_epsilon(1e-6)
                    .with_weight_decay(0.3)
                    .init(),
            ),
            (
                Optimizer::Lion,
                LionConfig::new()
                    .with_beta_1(0.8)
                    .with_beta_2(0.95)
                    .with_weight_decay(0.3)
                    .init(),
            ),
            (
                Optimizer::Adafactor,
                AdafactorConfig::new()
                    .with_relative_step(false)
                    .with_scale_parameter(false)
                    .with_weight_decay(0.3)
                    .init(),
            ),
            (
                Optimizer::Muon,
                MuonConfig::new()
                    .with_adjust_lr_fn(AdjustLrFn::MatchRmsAdamW)
                    .with_weight_decay(Some(decay))
                    .init(),
            ),
        ];
        for (kind, mut burns) in burns {
            let config = TrainConfig {
                optimizer: kind,
                betas: (0.8, 0.95),
                epsilon: 1e-6,
                weight_decay: 0.3,
                ..TrainConfig::default()
            };
            let mut ours = RunOptimizer::new(&config);
            let found = run(&mut |rate, one, grads| ours.step(|_| Some(rate), one, grads));
            assert_ne!(found, of(0.5).into_data());
            let expected = run(&mut |rate, one, grads| burns.step(rate, one, grads));
            assert_eq!(found, expected, "{kind:?}");
        }
    }
}
