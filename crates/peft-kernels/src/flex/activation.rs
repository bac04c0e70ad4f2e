//! Activations, alone and as gates.

use burn_flex::FlexTensor;

use super::made::Recipe;
use super::math::{density, normal, sigmoid, tanh};
use super::record::Derivative;
use super::rows;
use super::values::{in_order, shape, tensor, values, writable};
use crate::Activation;

/// `√(2/π)` and the cubic's factor in GELU's approximation.
const SLOPE: f32 = 0.797_884_6;
const CUBIC: f32 = 0.044_715;

/// Value and derivative.
#[inline(always)]
fn silu(x: f32) -> (f32, f32) {
    let sigmoid = sigmoid(x);
    let y = x * sigmoid;
    (y, sigmoid + y * (1.0 - sigmoid))
}

#[inline(always)]
fn gelu(x: f32) -> (f32, f32) {
    let below = normal(x);
    (x * below, below + x * density(x))
}

#[inline(always)]
fn gelu_tanh(x: f32) -> (f32, f32) {
    let square = x * x;
    let tanh = tanh(SLOPE * x * (1.0 + CUBIC * square));
    let below = 0.5 * (1.0 + tanh);
    let bend = 0.5 * SLOPE * (1.0 + 3.0 * CUBIC * square) * (1.0 - tanh * tanh);
    (x * below, below + x * bend)
}

/// `$work` with `$f` each activation's function in turn, so that each is a loop of its own.
macro_rules! by_activation {
    ($activation:expr, $f:ident => $work:expr) => {
        match $activation {
            Activation::Silu => {
                let $f = silu;
                $work
            }
            Activation::Gelu => {
                let $f = gelu;
                $work
            }
            Activation::GeluTanh => {
                let $f = gelu_tanh;
                $work
            }
            Activation::Relu
            | Activation::QuickGelu
            | Activation::ClippedGelu
            | Activation::SquaredRelu
            | Activation::Relu6
            | Activation::LeakyRelu
            | Activation::HardSwish
            | Activation::Mish
            | Activation::Laplace
            | Activation::RootSoftplus
            | Activation::Tanh
            | Activation::Sigmoid
            | Activation::Linear => unreachable!("Burn's operations compute it"),
        }
    };
}

/// `f(x)`.
pub(super) fn act([x]: [FlexTensor; 1], activation: Activation) -> FlexTensor {
    let x = in_order(x);
    let all = values(&x);
    let mut out = vec![0.0; all.len()];
    by_activation!(activation, f => rows::fill(&mut out, 1, |run, out| {
        for (out, x) in out.iter_mut().zip(&all[run]) {
            *out = f(*x).0;
        }
    }));
    tensor(out, shape(&x))
}

/// `f(x) ∘ up`.
pub(super) fn gate([x, up]: [FlexTensor; 2], activation: Activation) -> FlexTensor {
    let (x, up) = (in_order(x), in_order(up));
    let (all, ups) = (values(&x), values(&up));
    let mut out = vec![0.0; all.len()];
    by_activation!(activation, f => rows::fill(&mut out, 1, |run, out| {
        for ((out, x), up) in out.iter_mut().zip(&all[run.clone()]).zip(&ups[run]) {
            *out = f(*x).0 * up;
        }
    }));
    tensor(out, shape(&x))
}

/// Of `f(x)`, its input.
#[derive(Debug, Clone)]
pub(super) struct Act {
    pub(super) x: FlexTensor,
    pub(super) activation: Activation,
}

impl Recipe for Act {
    fn make(&self) -> FlexTensor {
        act([self.x.clone()], self.activation)
    }
}

impl Derivative<1> for Act {
    fn gradients(self, grad: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let (x, mut grad) = (in_order(self.x), writable(grad));
        let all = values(&x);
        let out = grad.storage_mut();
        by_activation!(self.activation, f => rows::fill(out, 1, |run, out| {
            for (grad, x) in out.iter_mut().zip(&all[run]) {
                *grad *= f(*x).1;
            }
        }));
        [Some(grad)]
    }
}

/// Of `f(x) ∘ up`, its inputs.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    pub(super) x: FlexTensor,
    pub(super) up: FlexTensor,
    pub(super) activation: Activation,
}

impl Recipe for Gate {
    fn make(&self) -> FlexTensor {
        gate([self.x.clone(), self.up.clone()], self.activation)
    }
}

impl Derivative<2> for Gate {
    /// Both at once: one of them alone is a case that no model has.
    fn gradients(self, grad: FlexTensor, wanted: [bool; 2]) -> [Option<FlexTensor>; 2] {
        let (x, up, mut grad) = (in_order(self.x), in_order(self.up), writable(grad));
        let (all, ups) = (values(&x), values(&up));
        let mut of_x = vec![0.0; all.len()];
        let outs = (of_x.as_mut_slice(), grad.storage_mut());
        by_activation!(self.activation, f => rows::fill_two(outs, 1, |run, of_x, of_up| {
            let inputs = all[run.clone()].iter().zip(&ups[run]);
            for ((of_x, grad), (x, up)) in of_x.iter_mut().zip(of_up).zip(inputs) {
                let (y, slope) = f(*x);
                *of_x = *grad * up * slope;
                *grad *= y;
            }
        }));
        [
            wanted[0].then(|| tensor(of_x, shape(&x))),
            wanted[1].then_some(grad),
        ]
    }
}
