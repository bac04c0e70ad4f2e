//! AdamW's update. *Decoupled Weight Decay Regularization*, Loshchilov and Hutter 2019,
//! [arXiv:1711.05101](https://arxiv.org/abs/1711.05101).

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
    /// `θ ← (1 − γ λ) θ − γ (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε)` with `m ← β₁ m + (1 − β₁) g`
    /// and `v ← β₂ v + (1 − β₂) g²`: the parameter, and its moments `m` and `v`, which are zero
    /// where there are none yet. The same bits as Burn's own.
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
