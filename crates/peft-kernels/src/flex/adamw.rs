//! AdamW's update of one parameter.

use burn_flex::FlexTensor;

use super::rows;
use super::values::{in_order, values, writable};

/// The numbers of one step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Update {
    pub(crate) beta_1: f32,
    pub(crate) beta_2: f32,
    pub(crate) epsilon: f32,
    /// What is left of the parameter, `1 − γ λ`.
    pub(crate) kept: f32,
    /// The learning rate `γ`.
    pub(crate) rate: f32,
    /// `1 − β₁ᵗ` and `1 − β₂ᵗ`.
    pub(crate) corrections: [f32; 2],
}

/// Parameter and moments after a step; their memory is written where nothing else holds it.
pub(super) fn update(
    [param, grad, first, second]: [FlexTensor; 4],
    step: Update,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let grad = in_order(grad);
    let grads = values(&grad);
    let (mut param, mut first, mut second) = (writable(param), writable(first), writable(second));
    rows::update_three(
        [
            param.storage_mut(),
            first.storage_mut(),
            second.storage_mut(),
        ],
        |run, [params, firsts, seconds]| {
            let moments = firsts.iter_mut().zip(seconds);
            for ((param, grad), (first, second)) in params.iter_mut().zip(&grads[run]).zip(moments)
            {
                *first = *first * step.beta_1 + grad * (1.0 - step.beta_1);
                *second = *second * step.beta_2 + grad * grad * (1.0 - step.beta_2);
                let along = *first / step.corrections[0];
                let size = (*second / step.corrections[1]).sqrt() + step.epsilon;
                *param = *param * step.kept - along / size * step.rate;
            }
        },
    );
    (param, first, second)
}
