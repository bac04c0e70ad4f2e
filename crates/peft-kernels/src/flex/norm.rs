//! Normalisations over the last axis.

use burn::tensor::Shape;
use burn_flex::FlexTensor;

use super::made::Recipe;
use super::record::Derivative;
use super::rows;
use super::values::{in_order, shape, tensor, values, width};

/// What is subtracted from a row, and what it is multiplied with.
type Scaling = (f32, f32);

/// Root mean square: nothing, and `1 / √(mean(x²) + ε)`.
#[inline(always)]
fn by_root_mean_square(x: &[f32], epsilon: f32) -> Scaling {
    let mean = rows::sum(x.len(), |i| x[i] * x[i]) / x.len() as f32;
    (0.0, 1.0 / (mean + epsilon).sqrt())
}

/// The mean, and `1 / √(variance + ε)`.
#[inline(always)]
fn by_deviation(x: &[f32], epsilon: f32) -> Scaling {
    let n = x.len() as f32;
    let mean = rows::sum(x.len(), |i| x[i]) / n;
    let variance = rows::sum(x.len(), |i| (x[i] - mean) * (x[i] - mean)) / n;
    (mean, 1.0 / (variance + epsilon).sqrt())
}

/// `$work` with `$f` the scaling of rows, so that each kind is a loop of its own.
macro_rules! by_kind {
    ($centred:expr, $f:ident => $work:expr) => {
        if $centred {
            let $f = by_deviation;
            $work
        } else {
            let $f = by_root_mean_square;
            $work
        }
    };
}

/// `w ∘ x / √(mean(x²) + ε)`.
pub(super) fn rms_norm(inputs: [FlexTensor; 2], epsilon: f64) -> FlexTensor {
    let [x, weight] = inputs.map(in_order);
    norm(&x, &weight, None, epsilon as f32)
}

/// `w ∘ (x − μ) / √(σ² + ε) + b`.
pub(super) fn layer_norm(inputs: [FlexTensor; 3], epsilon: f64) -> FlexTensor {
    let [x, weight, bias] = inputs.map(in_order);
    norm(&x, &weight, Some(&bias), epsilon as f32)
}

fn norm(
    x: &FlexTensor,
    weight: &FlexTensor,
    bias: Option<&FlexTensor>,
    epsilon: f32,
) -> FlexTensor {
    let (all, weight, width) = (values(x), values(weight), width(x));
    let bias = bias.map(values);
    let mut out = vec![0.0; all.len()];
    by_kind!(bias.is_some(), scaling => rows::fill(&mut out, width, |run, out| {
        let rows = all[run].chunks_exact(width);
        for (out, x) in out.chunks_exact_mut(width).zip(rows) {
            let (mean, scale) = scaling(x, epsilon);
            for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
                *out = (x - mean) * scale * weight;
            }
            if let Some(bias) = bias {
                for (out, bias) in out.iter_mut().zip(bias) {
                    *out += bias;
                }
            }
        }
    }));
    tensor(out, shape(x))
}

/// Of a norm, its input and weight, and the bias of one that centres. With `n = (x − μ) s` the
/// normalised row and `h = g ∘ w`, the input's gradient is `s (h − mean(h) − n mean(h ∘ n))`, the
/// weight's `Σ g ∘ n` over rows, the bias' `Σ g`; the root-mean-square norm has no `mean(h)`.
#[derive(Debug, Clone)]
struct Norm {
    x: FlexTensor,
    weight: FlexTensor,
    bias: Option<FlexTensor>,
    epsilon: f32,
}

impl Norm {
    fn make(&self) -> FlexTensor {
        norm(&self.x, &self.weight, self.bias.as_ref(), self.epsilon)
    }

    fn of_x(&self, grad: &FlexTensor) -> FlexTensor {
        let (all, weight, grads) = (values(&self.x), values(&self.weight), values(grad));
        let width = width(&self.x);
        let n = width as f32;
        let mut out = vec![0.0; all.len()];
        by_kind!(self.bias.is_some(), scaling => rows::fill(&mut out, width, |run, out| {
            let inputs = all[run.clone()]
                .chunks_exact(width)
                .zip(grads[run].chunks_exact(width));
            for (out, (x, grad)) in out.chunks_exact_mut(width).zip(inputs) {
                let (mean, scale) = scaling(x, self.epsilon);
                let normed = |i: usize| (x[i] - mean) * scale;
                let along = rows::sum(width, |i| grad[i] * weight[i] * normed(i)) / n;
                let level = if self.bias.is_some() {
                    rows::sum(width, |i| grad[i] * weight[i]) / n
                } else {
                    0.0
                };
                for (i, out) in out.iter_mut().enumerate() {
                    *out = scale * (grad[i] * weight[i] - level - normed(i) * along);
                }
            }
        }));
        tensor(out, shape(&self.x))
    }

    fn of_weight(&self, grad: &FlexTensor) -> FlexTensor {
        let (all, grads, width) = (values(&self.x), values(grad), width(&self.x));
        let sum = by_kind!(self.bias.is_some(), scaling => rows::sum_runs(all.len(), width, width, |run, sum| {
            let inputs = all[run.clone()]
                .chunks_exact(width)
                .zip(grads[run].chunks_exact(width));
            for (x, grad) in inputs {
                let (mean, scale) = scaling(x, self.epsilon);
                for ((sum, x), grad) in sum.iter_mut().zip(x).zip(grad) {
                    *sum += grad * ((x - mean) * scale);
                }
            }
        }));
        tensor(sum, Shape::from(vec![width]))
    }
}

/// Of the root-mean-square norm.
#[derive(Debug, Clone)]
pub(super) struct RmsNorm(Norm);

impl RmsNorm {
    pub(super) fn keep(inputs: [FlexTensor; 2], epsilon: f64) -> Self {
        let [x, weight] = inputs.map(in_order);
        Self(Norm {
            x,
            weight,
            bias: None,
            epsilon: epsilon as f32,
        })
    }
}

impl Recipe for RmsNorm {
    fn make(&self) -> FlexTensor {
        self.0.make()
    }
}

impl Derivative<2> for RmsNorm {
    fn gradients(self, grad: FlexTensor, wanted: [bool; 2]) -> [Option<FlexTensor>; 2] {
        let grad = in_order(grad);
        [
            wanted[0].then(|| self.0.of_x(&grad)),
            wanted[1].then(|| self.0.of_weight(&grad)),
        ]
    }
}

/// Of the norm that centres.
#[derive(Debug, Clone)]
pub(super) struct LayerNorm(Norm);

impl LayerNorm {
    pub(super) fn keep(inputs: [FlexTensor; 3], epsilon: f64) -> Self {
        let [x, weight, bias] = inputs.map(in_order);
        Self(Norm {
            x,
            weight,
            bias: Some(bias),
            epsilon: epsilon as f32,
        })
    }
}

impl Recipe for LayerNorm {
    fn make(&self) -> FlexTensor {
        self.0.make()
    }
}

impl Derivative<3> for LayerNorm {
    fn gradients(self, grad: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let grad = in_order(grad);
        [
            wanted[0].then(|| self.0.of_x(&grad)),
            wanted[1].then(|| self.0.of_weight(&grad)),
            wanted[2].then(|| {
                tensor(
                    rows::sum_of_rows(values(&grad), width(&grad)),
                    Shape::from(vec![width(&grad)]),
                )
            }),
        ]
    }
}
