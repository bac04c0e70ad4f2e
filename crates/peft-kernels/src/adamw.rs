//! AdamW's update. *Decoupled Weight Decay Regularization*, Loshchilov and Hutter 2019, [arXiv:1711.05101](https://arxiv.org/abs/1711.05101).

use burn::tensor::Tensor;

/// The numbers of one step of one parameter.
#[derive(Debug, Clone, Copy)]
pub struct AdamWStep {
    /// What the first moment keeps, β₁.
    pub beta_1: f32,
    /// What the second moment keeps, β₂.
    pub beta_2: f32,
    /// ε.
    pub epsilon: f32,
    /// The decoupled weight decay λ.
    pub weight_decay: f32,
    /// The learning rate γ.
    pub rate: f64,
    /// The steps of the parameter, this one included, from 1.
    pub time: usize,
}

impl AdamWStep {
    /// `θ ← (1 − γ λ) θ − γ (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε)` with `m ← β₁ m + (1 − β₁) g` and `v ← β₂ v + (1 − β₂) g²`: the parameter, and its moments
    /// `m` and `v`, which are zero where there are none yet. The same bits as Burn's own.
    ///
    /// # Shapes
    ///
    /// All are of one shape; none is in a graph.
    pub fn update<const D: usize>(
        &self,
        param: Tensor<D>,
        grad: Tensor<D>,
        moments: Option<[Tensor<D>; 2]>,
    ) -> (Tensor<D>, [Tensor<D>; 2]) {
        let kept = 1.0 - self.rate * f64::from(self.weight_decay);
        let corrections = [self.beta_1, self.beta_2].map(|beta| 1.0 - beta.powi(self.time as i32));
        #[cfg(feature = "flex")]
        if crate::fuses(&param) && crate::fuses(&grad) && !param.is_autodiff() {
            let [first, second] = moments.unwrap_or_else(|| {
                let zeros = || Tensor::zeros(grad.shape(), (&grad.device(), grad.dtype()));
                [zeros(), zeros()]
            });
            let update = crate::flex::Update {
                beta_1: self.beta_1,
                beta_2: self.beta_2,
                epsilon: self.epsilon,
                kept: kept as f32,
                rate: self.rate as f32,
                corrections,
            };
            let [param, first, second] = crate::flex::update([param, grad, first, second], update);
            return (param, [first, second]);
        }
        let now = [
            grad.clone().mul_scalar(1.0 - self.beta_1),
            grad.square().mul_scalar(1.0 - self.beta_2),
        ];
        let [first, second] = match moments {
            Some([first, second]) => {
                let [of_first, of_second] = now;
                [
                    first.mul_scalar(self.beta_1) + of_first,
                    second.mul_scalar(self.beta_2) + of_second,
                ]
            }
            None => now,
        };
        let along = first.clone().div_scalar(corrections[0]);
        let size = second.clone().div_scalar(corrections[1]).sqrt() + self.epsilon;
        let param = param.mul_scalar(kept) - (along / size).mul_scalar(self.rate);
        (param, [first, second])
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    /// Three steps in f64 by the definition, beside both ways to take them.
    #[test]
    fn it_is_its_definition() {
        const N: usize = 7 * 9001; // more than one run of a pass, and no whole number of them
        let device = Device::flex();
        let values =
            |seed: f32| -> Vec<f32> { (0..N).map(|i| (seed + i as f32 * 1.7).sin()).collect() };
        let tensor = |values: Vec<f32>| -> Tensor<2> {
            Tensor::from_data(TensorData::new(values, [7, 9001]), &device)
        };
        let step = |time| AdamWStep {
            beta_1: 0.8,
            beta_2: 0.99,
            epsilon: 1e-3,
            weight_decay: 0.1,
            rate: 0.05,
            time,
        };
        let mut expected: Vec<f64> = values(0.3).into_iter().map(f64::from).collect();
        let mut of_expected = vec![[0.0f64; 2]; N];
        let (mut param, mut moments) = (tensor(values(0.3)), None);
        for time in 1..=3 {
            let grad = values(time as f32);
            for ((param, [m, v]), grad) in expected.iter_mut().zip(&mut of_expected).zip(&grad) {
                let grad = f64::from(*grad);
                *m = 0.8 * *m + 0.2 * grad;
                *v = 0.99 * *v + 0.01 * grad * grad;
                let along = *m / (1.0 - 0.8f64.powi(time));
                let size = (*v / (1.0 - 0.99f64.powi(time))).sqrt() + 1e-3;
                *param = *param * (1.0 - 0.05 * 0.1) - 0.05 * along / size;
            }
            let (updated, kept) = step(time as usize).update(param, tensor(grad), moments);
            (param, moments) = (updated, Some(kept));
        }
        let found: Vec<f32> = param.into_data().iter().collect();
        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert!(
                (f64::from(*found) - expected).abs() < 2e-6,
                "{i}: {found}, expected {expected}"
            );
        }
    }

    /// A parameter and moments that something else holds too are left as they were.
    #[test]
    fn what_others_hold_is_not_written() {
        let device = Device::flex();
        let of = |x: f32| Tensor::<1>::from_data([x, -x], &device);
        let (param, moments) = (of(1.0), [of(0.1), of(0.2).abs()]);
        let step = AdamWStep {
            beta_1: 0.9,
            beta_2: 0.9,
            epsilon: 1e-8,
            weight_decay: 0.0,
            rate: 0.1,
            time: 2,
        };
        let (updated, _) = step.update(param.clone(), of(0.5), Some(moments.clone()));
        let values = |x: Tensor<1>| -> Vec<f32> { x.into_data().iter().collect() };
        assert_ne!(values(updated), [1.0, -1.0]);
        assert_eq!(values(param), [1.0, -1.0]);
        let [first, second] = moments;
        assert_eq!(values(first), [0.1, -0.1]);
        assert_eq!(values(second), [0.2, 0.2]);
    }
}
