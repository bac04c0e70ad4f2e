//! [`RankAllocator`]: which ranks are left after each step.

use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use peft_core::{AdapterSchedule, AdapterSlot, PeftError, with_value};
use serde_json::{Value, json};

use super::importance::Moved;
use super::{AdaLora, AdaLoraConfig};

/// The budget of ranks of the adapters of a name, step by step.
///
/// For `t_init` steps all ranks are left; then their number falls as a cubic to the target, and the
/// least important ones of all layers together lose their values every `delta_t` steps; for the
/// last `t_final` steps what is left stays. A rank that has lost its value may get one again until
/// then. Beside it the columns of `A` and the rows of `B` are kept near to orthonormal by a
/// [penalty](AdapterSchedule::penalty). Steps are counted from 1: what PEFT's `update_and_allocate`
/// is to be called with.
#[derive(Debug, Clone, PartialEq)]
pub struct RankAllocator {
    name: String,
    config: AdaLoraConfig,
    total_steps: usize,
}

impl RankAllocator {
    /// That of a config, for adapters of this name, in a run of so many steps.
    ///
    /// # Errors
    ///
    /// [`PeftError::InvalidSetting`] where no step is left in which the budget falls, or a
    /// coefficient cannot be.
    pub fn new(config: &AdaLoraConfig, name: &str, total_steps: usize) -> Result<Self, PeftError> {
        config.check()?;
        if config.t_init.saturating_add(config.t_final) >= total_steps {
            return Err(PeftError::InvalidSetting {
                field: "steps before and after the budget of ranks falls".into(),
                value: format!("{} and {}", config.t_init, config.t_final),
                expected: "fewer than all of the run's steps",
            });
        }
        Ok(Self {
            name: name.into(),
            config: config.clone(),
            total_steps,
        })
    }

    /// How many ranks are to be left after so many steps, of so many at first in so many layers,
    /// and whether they are looked at.
    fn budget(&self, step: usize, at_first: usize, layers: usize) -> (usize, bool) {
        let AdaLoraConfig {
            t_init, t_final, ..
        } = self.config;
        let target = self.config.target_rank * layers;
        let end = self.total_steps - t_final;
        if step <= t_init {
            return (at_first, false);
        }
        if step >= end {
            return (target, step == end);
        }
        let left = 1.0 - (step - t_init) as f64 / (end - t_init) as f64;
        let more = at_first.saturating_sub(target) as f64 * left.powi(3);
        let budget = (more + target as f64) as usize;
        (budget, step.is_multiple_of(self.config.delta_t))
    }

    /// The adapters of the name, with the places of their slots.
    fn adapters(&self, slots: &[(String, AdapterSlot)]) -> Vec<(usize, AdaLora)> {
        let slots = slots.iter().enumerate();
        let found = slots.filter_map(|(at, (_, slot))| {
            let adapter = slot.get::<AdaLora>(&self.name)?;
            adapter.importance.as_ref().map(|_| (at, adapter.clone()))
        });
        found.collect()
    }
}

/// With what is known after a step whose gradients these are.
fn updated(mut adapter: AdaLora, gradients: &GradientsParams, betas: [f64; 2]) -> AdaLora {
    let (Some(a), Some(e), Some(b)) = (
        gradients.get::<2>(adapter.lora_a.id),
        gradients.get::<1>(adapter.lora_e.id),
        gradients.get::<2>(adapter.lora_b.id),
    ) else {
        return adapter;
    };
    fn moved<const D: usize>(value: Tensor<D>, gradient: Tensor<D>) -> Moved<D> {
        let value = value.without_autodiff();
        Moved { value, gradient }
    }
    let a = moved(adapter.lora_a.val(), a);
    let e = moved(adapter.lora_e.val(), e);
    let b = moved(adapter.lora_b.val(), b);
    let importance = adapter.importance.take();
    adapter.importance = importance.map(|importance| importance.update(a, e, b, betas));
    adapter
}

/// Without the values of the ranks that are not left.
fn masked(mut adapter: AdaLora) -> AdaLora {
    if let Some(importance) = &adapter.importance {
        let e = adapter.lora_e.val().without_autodiff() * importance.mask();
        adapter.lora_e = with_value(adapter.lora_e, e);
    }
    adapter
}

impl AdapterSchedule for RankAllocator {
    fn after_step(
        &self,
        step: usize,
        _total_steps: usize,
        slots: &mut [(String, AdapterSlot)],
        gradients: &GradientsParams,
    ) {
        let step = step + 1;
        let end = self.total_steps - self.config.t_final;
        let mut adapters = self.adapters(slots);
        if step < end {
            let betas = [self.config.beta_1, self.config.beta_2];
            for (_, adapter) in &mut adapters {
                *adapter = updated(adapter.clone(), gradients, betas);
            }
        }
        let at_first: usize = adapters.iter().map(|(_, adapter)| adapter.rank()).sum();
        let (budget, looks) = self.budget(step, at_first, adapters.len());
        if looks {
            allocate(&mut adapters, at_first.saturating_sub(budget));
        }
        for (at, adapter) in adapters {
            // What was taken away at the end stays away.
            let adapter = match looks || step > end {
                true => masked(adapter),
                false => adapter,
            };
            slots[at].1.set(&self.name, adapter);
        }
    }

    fn penalty(&self, slots: &[(String, AdapterSlot)]) -> Option<Tensor<1>> {
        let adapters = self.adapters(slots);
        let n = 2 * adapters.len();
        if n == 0 || self.config.orthogonal_weight == 0.0 {
            return None;
        }
        let apart = |rows: Tensor<2>| {
            let product = rows.clone().matmul(rows.transpose()); // [rank, rank]
            let unit = Tensor::eye(product.dims()[0], &product.device());
            (product - unit).square().sum().add_scalar(1e-20).sqrt()
        };
        let parts = adapters.into_iter().map(|(_, adapter)| {
            apart(adapter.lora_a.val().transpose()) + apart(adapter.lora_b.val())
        });
        // On the first one's device, where layers are on several.
        let sum = parts.reduce(|sum, part| match part.device() == sum.device() {
            true => sum + part,
            false => {
                let there = part.to_device(&sum.device());
                sum + there
            }
        })?;
        Some(sum.mul_scalar(self.config.orthogonal_weight / n as f64))
    }

    fn keeps(&self, path: &str) -> bool {
        path.contains(&format!(".adapters.{}.importance.", self.name))
    }

    fn settings(&self) -> Value {
        json!({ "adalora": {
            "target_rank": self.config.target_rank,
            "t_init": self.config.t_init,
            "t_final": self.config.t_final,
            "delta_t": self.config.delta_t,
            "betas": [self.config.beta_1, self.config.beta_2],
            "orthogonal_weight": self.config.orthogonal_weight,
            "total_steps": self.total_steps,
        } })
    }
}

/// Take the least important ranks of all, so many of them, and those as important as the last one.
fn allocate(adapters: &mut [(usize, AdaLora)], n: usize) {
    let of = |adapter: &AdaLora| adapter.importance.as_ref().map(|known| known.of_ranks());
    let scores: Vec<Vec<f64>> = adapters
        .iter()
        .map(|(_, adapter)| of(adapter).unwrap_or_default())
        .collect();
    let mut all: Vec<f64> = scores.iter().flatten().copied().collect();
    all.sort_by(f64::total_cmp);
    let last = n.checked_sub(1).and_then(|at| all.get(at)).copied();
    for ((_, adapter), scores) in adapters.iter_mut().zip(scores) {
        let left: Vec<bool> = scores
            .iter()
            .map(|score| last.is_none_or(|last| *score > last))
            .collect();
        let importance = adapter.importance.take();
        adapter.importance = importance.map(|importance| importance.with_left(&left));
    }
}

#[cfg(test)]
mod tests {
    use peft_core::{Placed, Targets};

    use super::*;

    #[test]
    fn the_budget_falls_as_a_cubic_to_the_target() {
        let config = AdaLoraConfig::new(6, 2, 8.0)
            .with_targets(Targets::all_linear())
            .with_steps(2, 3, 2);
        let allocator = RankAllocator::new(&config, "a", 12).expect("it can be");
        let found: Vec<(usize, bool)> = (1..=12)
            .map(|step| allocator.budget(step, 60, 10))
            .collect();
        let cubic =
            |step: usize| (20.0 + 40.0 * (1.0 - (step as f64 - 2.0) / 7.0).powi(3)) as usize;
        let expected: Vec<(usize, bool)> = (1..=12)
            .map(|step| match step {
                1 | 2 => (60, false),
                3..=8 => (cubic(step), step % 2 == 0),
                9 => (20, true),
                _ => (20, false),
            })
            .collect();
        assert_eq!(found, expected);
        assert!(RankAllocator::new(&config, "a", 5).is_err());
    }
}
