//! [`Importance`]: how much the loss moves with each element of an adapter, as it is known so far.

use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor};
use peft_core::with_value;

/// Of each element `|p · ∂L/∂p|`, smoothed over steps, and how far the last ones were from that,
/// smoothed too; and which ranks are left. None of it trains.
#[derive(Module, Debug)]
pub struct Importance {
    /// Of `A`, `[d_in, rank]` each.
    a: Smoothed<2>,
    /// Of `E`, `[rank]` each.
    e: Smoothed<1>,
    /// Of `B`, `[rank, d_out]` each.
    b: Smoothed<2>,
    /// 1 for each rank that is left, 0 for the others, `[rank]`.
    mask: Param<Tensor<1>>,
}

/// Two averages over steps.
#[derive(Module, Debug)]
struct Smoothed<const D: usize> {
    sensitivity: Param<Tensor<D>>,
    uncertainty: Param<Tensor<D>>,
}

impl<const D: usize> Smoothed<D> {
    fn zeros(like: Tensor<D>) -> Self {
        let zeros = || Param::from_tensor(like.zeros_like()).set_require_grad(false);
        Self {
            sensitivity: zeros(),
            uncertainty: zeros(),
        }
    }

    fn update(self, value: Tensor<D>, gradient: Tensor<D>, [of_size, of_spread]: [f64; 2]) -> Self {
        let now = (value * gradient).abs();
        let smooth = |before: Tensor<D>, now: Tensor<D>, beta: f64| {
            before.mul_scalar(beta) + now.mul_scalar(1.0 - beta)
        };
        let plain = |param: &Param<Tensor<D>>| param.val().without_autodiff();
        let sensitivity = smooth(plain(&self.sensitivity), now.clone(), of_size);
        let apart = (now - sensitivity.clone()).abs();
        let uncertainty = smooth(plain(&self.uncertainty), apart, of_spread);
        Self {
            sensitivity: with_value(self.sensitivity, sensitivity),
            uncertainty: with_value(self.uncertainty, uncertainty),
        }
    }

    fn score(&self) -> Tensor<D> {
        let plain = |param: &Param<Tensor<D>>| param.val().without_autodiff();
        plain(&self.sensitivity) * plain(&self.uncertainty)
    }
}

/// Values with their gradients.
pub(super) struct Moved<const D: usize> {
    pub(super) value: Tensor<D>,
    pub(super) gradient: Tensor<D>,
}

impl Importance {
    /// Nothing is known, and all ranks are left.
    pub(super) fn new([d_in, rank, d_out]: [usize; 3], on: &Tensor<2>) -> Self {
        let device = on.device();
        let options = || (&device, DType::F32);
        let mask = Tensor::ones([rank], options());
        Self {
            a: Smoothed::zeros(Tensor::zeros([d_in, rank], options())),
            e: Smoothed::zeros(Tensor::zeros([rank], options())),
            b: Smoothed::zeros(Tensor::zeros([rank, d_out], options())),
            mask: Param::from_tensor(mask).set_require_grad(false),
        }
    }

    /// After a step.
    pub(super) fn update(self, a: Moved<2>, e: Moved<1>, b: Moved<2>, betas: [f64; 2]) -> Self {
        Self {
            a: self.a.update(a.value, a.gradient, betas),
            e: self.e.update(e.value, e.gradient, betas),
            b: self.b.update(b.value, b.gradient, betas),
            mask: self.mask,
        }
    }

    /// The importance of each rank: that of its value, and the means of its column of `A` and its
    /// row of `B`.
    pub(super) fn of_ranks(&self) -> Vec<f64> {
        let a: Vec<f64> = self.a.score().mean_dim(0).into_data().iter().collect();
        let b: Vec<f64> = self.b.score().mean_dim(1).into_data().iter().collect();
        let e: Vec<f64> = self.e.score().into_data().iter().collect();
        let sums = a.into_iter().zip(b).zip(e);
        sums.map(|((a, b), e)| a + b + e).collect()
    }

    /// The ranks that are left.
    pub(super) fn left(&self) -> Vec<bool> {
        let mask = self.mask.val().into_data();
        mask.iter::<f32>().map(|left| left > 0.5).collect()
    }

    /// As [`left`](Self::left), to multiply with.
    pub(super) fn mask(&self) -> Tensor<1> {
        self.mask.val().without_autodiff()
    }

    /// With these ranks left.
    pub(super) fn with_left(self, left: &[bool]) -> Self {
        let mask: Vec<f32> = left.iter().map(|left| f32::from(u8::from(*left))).collect();
        let mask = Tensor::from_data(mask.as_slice(), &self.mask().device());
        Self {
            mask: with_value(self.mask, mask),
            ..self
        }
    }
}
