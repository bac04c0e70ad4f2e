//! Functions whose gradient is known with their value.
//!
//! The value is computed outside of the graph, which then gets one linear map of `z = x − x`, a
//! zero with gradient one: `y + J z` has the value `y` and the Jacobian `J`. So the graph keeps
//! what the gradient needs and not what each operation on the way to the value would keep, and
//! backends may use their fused operations, which they do not under automatic differentiation.

use std::f64::consts::{FRAC_2_SQRT_PI, SQRT_2};

use burn::tensor::{DType, Tensor, activation};

/// `x · σ(x)`, elementwise; its derivative is `σ + y (1 − σ)`. *Gaussian Error Linear Units*,
/// Hendrycks and Gimpel 2016, [arXiv:1606.08415](https://arxiv.org/abs/1606.08415).
pub(crate) fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let plain = x.clone().without_autodiff();
    let sigmoid = (plain.clone().neg().exp() + 1.0).recip();
    let y = plain.clone() * sigmoid.clone();
    if !x.is_tracked() {
        return y;
    }
    let derivative = sigmoid.clone() + y.clone() * (sigmoid.neg() + 1.0);
    (x - plain) * derivative + y
}

/// `x · Φ(x)`, elementwise, with the normal distribution's `Φ(x) = (1 + erf(x / √2)) / 2`; its
/// derivative is `Φ + x φ`. From the same paper. Computed in f32.
pub(crate) fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let dtype = x.dtype();
    let plain = x.clone().without_autodiff();
    if !x.is_tracked() {
        return activation::gelu(plain.cast(DType::F32)).cast(dtype);
    }
    let wide = plain.clone().cast(DType::F32);
    let below = (wide.clone().div_scalar(SQRT_2).erf() + 1.0).div_scalar(2.0);
    let y = (wide.clone() * below.clone()).cast(dtype);
    let density = (wide.clone().square() * -0.5).exp() * (FRAC_2_SQRT_PI / (2.0 * SQRT_2));
    let derivative = (below + wide * density).cast(dtype);
    (x - plain) * derivative + y
}

/// The approximation `x (1 + t) / 2` of [`gelu`] with `t = tanh(u)` and
/// `u = √(2/π) (x + 0.044715 x³)`; its derivative is `(1 + t) / 2 + x (1 − t²) u′ / 2`. Computed in
/// f32.
pub(crate) fn gelu_tanh<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    const SLOPE: f64 = FRAC_2_SQRT_PI / SQRT_2;
    const CUBIC: f64 = 0.044715;
    let dtype = x.dtype();
    let plain = x.clone().without_autodiff();
    let wide = plain.clone().cast(DType::F32);
    let square = wide.clone().square();
    let tanh = (wide.clone() * (square.clone() * CUBIC + 1.0) * SLOPE).tanh();
    let below = (tanh.clone() + 1.0) * 0.5;
    let y = (wide.clone() * below.clone()).cast(dtype);
    if !x.is_tracked() {
        return y;
    }
    let slope = (square * (3.0 * CUBIC) + 1.0) * (0.5 * SLOPE);
    let bend = (tanh.square().neg() + 1.0) * wide * slope;
    (x - plain) * (below + bend).cast(dtype) + y
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    /// Value and gradient of `f` beside those of a function that Burn differentiates.
    fn compare(f: fn(Tensor<2>) -> Tensor<2>, reference: fn(Tensor<2>) -> Tensor<2>) {
        let device = Device::flex().autodiff();
        let of = |scale: f32| -> Tensor<2> {
            let values: Vec<f32> = (0..35).map(|i| scale * (i as f32 * 1.7).sin()).collect();
            Tensor::from_data(TensorData::new(values, [5, 7]), &device)
        };
        let run = |f: fn(Tensor<2>) -> Tensor<2>| {
            let x = of(9.0).require_grad();
            let y = f(x.clone());
            let grads = (y.clone() * of(1.3) + y.clone().square()).sum().backward();
            let grad = x.grad(&grads).expect("a gradient");
            [y.into_data(), grad.into_data()]
        };
        for (found, expected) in run(f).iter().zip(run(reference)) {
            for (a, b) in found.iter::<f32>().zip(expected.iter::<f32>()) {
                assert!(
                    (a - b).abs() <= 1e-5 * b.abs().max(1.0),
                    "{a}, expected {b}"
                );
            }
        }
        // As numbers: a zero may differ in its sign.
        let values = |x| -> Vec<f32> { f(x).into_data().iter().collect() };
        assert_eq!(values(of(9.0)), values(of(9.0).require_grad()));
    }

    #[test]
    fn silu_is_burns() {
        compare(silu, activation::silu);
    }

    #[test]
    fn gelu_is_burns() {
        // Burn differentiates its own `gelu` by an approximation.
        compare(gelu, |x| x.clone() * ((x / 2f64.sqrt()).erf() + 1.0) * 0.5);
    }

    #[test]
    fn gelu_tanh_is_burns() {
        compare(gelu_tanh, activation::gelu_approximate);
    }

    #[test]
    fn far_values_are_finite() {
        let device = Device::flex().autodiff();
        let x = Tensor::<1>::from_data([-1e4f32, -90.0, 90.0, 1e4], &device).require_grad();
        for f in [silu, gelu, gelu_tanh] {
            let grads = f(x.clone()).sum().backward();
            let grad: Vec<f32> = x
                .grad(&grads)
                .expect("a gradient")
                .into_data()
                .iter()
                .collect();
            assert_eq!(grad, [0.0, 0.0, 1.0, 1.0]);
        }
    }
}
