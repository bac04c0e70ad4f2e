//! [`softcap`].

use burn::tensor::Tensor;

/// `c · tanh(x / c)`, elementwise: values held within bounds. *Gemma 2*,
/// [arXiv:2408.00118](https://arxiv.org/abs/2408.00118).
///
/// Its derivative is `1 − (y / c)²`, which joins the graph as a linear map of `x − x`.
pub fn softcap<const D: usize>(x: Tensor<D>, cap: f64) -> Tensor<D> {
    let plain = x.clone().without_autodiff();
    let y = plain.clone().div_scalar(cap).tanh().mul_scalar(cap);
    if !x.is_tracked() {
        return y;
    }
    let derivative = y.clone().div_scalar(cap).square().neg() + 1.0;
    (x - plain) * derivative + y
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn value_and_gradient_are_those_of_the_formula() {
        let device = Device::flex().autodiff();
        let x = Tensor::<1>::from_data([-70.0f32, -2.0, 0.3, 4.0, 90.0], &device).require_grad();
        let values = |y: Tensor<1>| -> Vec<f32> {
            let weights = Tensor::from_data([1.0f32, -2.0, 3.0, 0.5, 1.5], &device);
            let grads = (y.clone() * weights).sum().backward();
            let grad = x.grad(&grads).expect("a gradient");
            y.into_data()
                .iter()
                .chain(grad.into_data().iter())
                .collect()
        };
        let found = values(softcap(x.clone(), 5.0));
        let expected = values((x.clone() / 5.0).tanh() * 5.0);
        for (a, b) in found.iter().zip(&expected) {
            assert!((a - b).abs() <= 1e-6, "{found:?}, expected {expected:?}");
        }
    }
}
