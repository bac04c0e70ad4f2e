//! The operations by name: what Burn's dispatch calls, with and without a graph, and the same on
//! tensors.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

use super::activation::{self, Act, Gate};
use super::adamw::{self, Update};
use super::columns::{self, ScaleColumns};
use super::made::Made;
use super::norm::{self, LayerNorm, RmsNorm};
use super::product::{self, Linear, Matmul, Transposed};
use super::record::record;
use super::rotary::Rotation;
use super::row_gradient::RowGradient;
use super::scaling;
use super::softmax::{self, Softmax};
use crate::Activation;

/// What has a gradient.
#[backend_extension(Flex, Autodiff)]
trait Fused: Backend {
    fn act(x: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self>;
    fn gate(
        x: FloatTensor<Self>,
        up: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self>;
    fn softmax(x: FloatTensor<Self>) -> FloatTensor<Self>;
    fn matmul(lhs: FloatTensor<Self>, rhs: FloatTensor<Self>, woven: bool) -> FloatTensor<Self>;
    fn linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
    fn transposed_product(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;
    fn rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, epsilon: f64)
    -> FloatTensor<Self>;
    fn layer_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;
    fn rotate(
        x: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
    fn scale_columns(x: FloatTensor<Self>, factors: FloatTensor<Self>) -> FloatTensor<Self>;
    fn with_gradient(
        value: FloatTensor<Self>,
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// What has none.
#[backend_extension(Flex)]
trait Updates: Backend {
    fn update(
        param: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: Update,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
    fn sum_of_squares(x: FloatTensor<Self>) -> FloatTensor<Self>;
    fn scale(x: FloatTensor<Self>, factor: f64) -> FloatTensor<Self>;
}

impl Fused for Flex {
    fn act(x: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        activation::act([x], activation)
    }

    fn gate(
        x: FloatTensor<Self>,
        up: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        activation::gate([x, up], activation)
    }

    fn softmax(x: FloatTensor<Self>) -> FloatTensor<Self> {
        softmax::softmax([x])
    }

    fn matmul(lhs: FloatTensor<Self>, rhs: FloatTensor<Self>, woven: bool) -> FloatTensor<Self> {
        product::matmul([lhs, rhs], woven)
    }

    fn linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        product::linear([x, weight, bias])
    }

    fn transposed_product(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        product::transposed_product([x, weight])
    }

    fn rms_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        norm::rms_norm([x, weight], epsilon)
    }

    fn layer_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        norm::layer_norm([x, weight, bias], epsilon)
    }

    fn rotate(
        x: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        Rotation::new(cos, sin).apply(x, false)
    }

    fn scale_columns(x: FloatTensor<Self>, factors: FloatTensor<Self>) -> FloatTensor<Self> {
        columns::scale_columns([x, factors])
    }

    fn with_gradient(
        value: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        value
    }
}

impl<C: CheckpointStrategy> Fused for Autodiff<Flex, C> {
    fn act(x: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        record::<C, Made<Act>, 1>([x], |[x], _| {
            let y = activation::act([x.clone()], activation);
            let kept = Made::new(Act { x, activation }, &y);
            (y, kept)
        })
    }

    fn gate(
        x: FloatTensor<Self>,
        up: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        record::<C, Made<Gate>, 2>([x, up], |[x, up], _| {
            let y = activation::gate([x.clone(), up.clone()], activation);
            let kept = Made::new(Gate { x, up, activation }, &y);
            (y, kept)
        })
    }

    fn softmax(x: FloatTensor<Self>) -> FloatTensor<Self> {
        record::<C, Softmax, 1>([x], |x, _| {
            let y = softmax::softmax(x);
            (y.clone(), Softmax { y })
        })
    }

    fn matmul(lhs: FloatTensor<Self>, rhs: FloatTensor<Self>, woven: bool) -> FloatTensor<Self> {
        record::<C, Matmul, 2>([lhs, rhs], |inputs, tracked| {
            let y = product::matmul(inputs.clone(), woven);
            (y, Matmul::keep(inputs, tracked))
        })
    }

    fn linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        record::<C, Linear, 3>([x, weight, bias], |inputs, tracked| {
            let y = product::linear(inputs.clone());
            (y, Linear::keep(inputs, tracked))
        })
    }

    fn transposed_product(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        record::<C, Transposed, 2>([x, weight], |[x, weight], _| {
            let y = product::transposed_product([x, weight.clone()]);
            (y, Transposed(weight))
        })
    }

    fn rms_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        record::<C, Made<RmsNorm>, 2>([x, weight], |inputs, _| {
            let y = norm::rms_norm(inputs.clone(), epsilon);
            let kept = Made::new(RmsNorm::keep(inputs, epsilon), &y);
            (y, kept)
        })
    }

    fn layer_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        record::<C, Made<LayerNorm>, 3>([x, weight, bias], |inputs, _| {
            let y = norm::layer_norm(inputs.clone(), epsilon);
            let kept = Made::new(LayerNorm::keep(inputs, epsilon), &y);
            (y, kept)
        })
    }

    fn rotate(
        x: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let rotation = Rotation::new(cos.into_primitive(), sin.into_primitive());
        record::<C, Rotation, 1>([x], |[x], _| (rotation.apply(x, false), rotation.clone()))
    }

    fn scale_columns(x: FloatTensor<Self>, factors: FloatTensor<Self>) -> FloatTensor<Self> {
        record::<C, ScaleColumns, 2>([x, factors], |inputs, tracked| {
            let kept = ScaleColumns::keep(inputs.clone(), tracked);
            (columns::scale_columns(inputs), kept)
        })
    }

    fn with_gradient(
        value: FloatTensor<Self>,
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let (value, gradient) = (value.into_primitive(), gradient.into_primitive());
        record::<C, RowGradient, 1>([x], |_, _| (value, RowGradient { gradient }))
    }
}

impl Updates for Flex {
    fn update(
        param: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: Update,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        adamw::update([param, grad, first, second], step)
    }

    fn sum_of_squares(x: FloatTensor<Self>) -> FloatTensor<Self> {
        scaling::sum_of_squares(x)
    }

    fn scale(x: FloatTensor<Self>, factor: f64) -> FloatTensor<Self> {
        scaling::scale(x, factor)
    }
}

/// `f(x)`.
pub(crate) fn act<const D: usize>(x: Tensor<D>, activation: Activation) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as Fused>::act(x.into_dispatch(), activation))
}

/// `f(x) ∘ up`.
pub(crate) fn gate<const D: usize>(
    x: Tensor<D>,
    up: Tensor<D>,
    activation: Activation,
) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as Fused>::gate(
        x.into_dispatch(),
        up.into_dispatch(),
        activation,
    ))
}

/// Over the last axis.
pub(crate) fn softmax<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as Fused>::softmax(x.into_dispatch()))
}

/// Over the last two axes, of tensors whose others are equal.
pub(crate) fn matmul<const D: usize>(lhs: Tensor<D>, rhs: Tensor<D>, woven: bool) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as Fused>::matmul(
        lhs.into_dispatch(),
        rhs.into_dispatch(),
        woven,
    ))
}

/// `x W + b`.
pub(crate) fn linear(x: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as Fused>::linear(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
    ))
}

/// `x Wᵀ` with a stored weight that does not train.
pub(crate) fn transposed_product(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as Fused>::transposed_product(
        x.into_dispatch(),
        weight.into_dispatch(),
    ))
}

/// By the root mean square.
pub(crate) fn rms_norm<const D: usize>(x: Tensor<D>, weight: Tensor<1>, epsilon: f64) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as Fused>::rms_norm(
        x.into_dispatch(),
        weight.into_dispatch(),
        epsilon,
    ))
}

/// By mean and deviation.
pub(crate) fn layer_norm<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as Fused>::layer_norm(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        epsilon,
    ))
}

/// Pairs of features by their angles.
pub(crate) fn rotate(x: Tensor<4>, cos: Tensor<4>, sin: Tensor<4>) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as Fused>::rotate(
        x.into_dispatch(),
        cos.into_dispatch(),
        sin.into_dispatch(),
    ))
}

/// Each column times its factor.
pub(crate) fn scale_columns(x: Tensor<2>, factors: Tensor<1>) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as Fused>::scale_columns(
        x.into_dispatch(),
        factors.into_dispatch(),
    ))
}

/// Values whose gradients by the rows of `x` are known.
pub(crate) fn with_gradient(value: Tensor<1>, x: Tensor<2>, gradient: Tensor<2>) -> Tensor<1> {
    Tensor::from_dispatch(<Dispatch as Fused>::with_gradient(
        value.into_dispatch(),
        x.into_dispatch(),
        gradient.into_dispatch(),
    ))
}

/// Parameter and moments after a step; none of them in a graph.
pub(crate) fn update<const D: usize>(
    [param, grad, first, second]: [Tensor<D>; 4],
    step: Update,
) -> [Tensor<D>; 3] {
    let (param, first, second) = <Dispatch as Updates>::update(
        param.into_dispatch(),
        grad.into_dispatch(),
        first.into_dispatch(),
        second.into_dispatch(),
        step,
    );
    [param, first, second].map(Tensor::from_dispatch)
}

/// `Σ x²`, of a tensor in no graph.
pub(crate) fn sum_of_squares<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    Tensor::from_dispatch(<Dispatch as Updates>::sum_of_squares(x.into_dispatch()))
}

/// `factor · x`, of a tensor in no graph.
pub(crate) fn scale<const D: usize>(x: Tensor<D>, factor: f64) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as Updates>::scale(x.into_dispatch(), factor))
}
