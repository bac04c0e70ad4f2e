//! Losses: of a batch of text, only at the targets; of one class a row; of several.

use burn::module::{ModuleVisitor, Param};
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::{DType, IndexingUpdateOp, Int, Tensor};
use peft_kernels::{softmax, with_gradient};
use peft_model::CausalLm;

use crate::objective::states_read;
use crate::{Batch, TrunkStates};

/// Scores that are formed at once: of a large vocabulary those of some rows, 32 MiB of them.
const SCORES: usize = 1 << 23;

/// The states that predict a batch's targets, `[targets, d_model]`.
///
/// The last block runs on these and on no others, or on all if that is most of them.
pub(crate) fn target_states<M: CausalLm>(
    model: &M,
    batch: &Batch,
    trunk: Option<TrunkStates>,
) -> Tensor<2> {
    states_read(model, batch.ids.clone(), batch.pass(), &batch.reads, trunk)
}

/// The scores of every token in f32, `[states, vocabulary]`.
pub(crate) fn logits_of<M: CausalLm>(model: &M, states: Tensor<2>) -> Tensor<2> {
    let n = states.dims()[0];
    let logits = model.logits(states.unsqueeze());
    let vocab = logits.dims()[2];
    logits.reshape([n, vocab]).cast(DType::F32)
}

/// The rows of states in chunks of nearly one size, whose scores are formed at once: all of them
/// where the vocabulary is small. A chunk's first row and their number.
pub(crate) fn chunks(rows: usize, vocabulary: usize) -> impl Iterator<Item = (usize, usize)> {
    let most = (SCORES / vocabulary.max(1)).max(1);
    let rows_a_chunk = rows.div_ceil(rows.div_ceil(most).max(1)).max(1);
    (0..rows)
        .step_by(rows_a_chunk)
        .map(move |first| (first, rows_a_chunk.min(rows - first)))
}

/// The negative log-likelihood of each target in f32, `[targets]`, the scores of all at once.
pub fn target_nll<M: CausalLm>(model: &M, batch: &Batch) -> Tensor<1> {
    let states = target_states(model, batch, None);
    nll(logits_of(model, states), batch.labels.clone())
}

/// Its sum over the targets, `[1]`, from what the trunk gave for the batch where it did; of labels
/// that are smoothed by [`Regularisation::label_smoothing`](crate::Regularisation).
///
/// Of a large vocabulary, scores are formed chunk by chunk, and so are the gradients of the states
/// and of what trains in the output layer, before the rest of the model has its own: the sum joins
/// the graph as a linear map of both.
pub(crate) fn target_loss<M: CausalLm>(
    model: &M,
    batch: &Batch,
    trunk: Option<TrunkStates>,
    smoothing: f64,
) -> Tensor<1> {
    let (states, labels) = (target_states(model, batch, trunk), batch.labels.clone());
    let n = states.dims()[0];
    let mut chunks = chunks(n, model.vocab_size()).peekable();
    if chunks.peek().is_none_or(|(_, rows)| *rows == n) {
        return smoothed_nll(logits_of(model, states), labels, smoothing).sum();
    }
    let tracked = states.is_tracked();
    let mut of_layer = GradientsAccumulator::new();
    let (mut values, mut of_states) = (Vec::new(), Vec::new());
    for (first, rows) in chunks {
        let part = states.clone().narrow(0, first, rows).detach();
        let part = part.set_require_grad(tracked);
        let losses = smoothed_nll(
            logits_of(model, part.clone()),
            labels.clone().narrow(0, first, rows),
            smoothing,
        );
        values.push(losses.clone().without_autodiff());
        if losses.is_tracked() {
            let grads = losses.sum().backward();
            of_states.extend(part.grad(&grads));
            of_layer.accumulate(model, GradientsParams::from_grads(grads, model));
        }
    }
    let values = Tensor::cat(values, 0);
    let sum = match tracked {
        true => {
            let gradient = Tensor::cat(of_states, 0).cast(DType::F32);
            with_gradient(values, states.cast(DType::F32), gradient).sum()
        }
        false => values.sum(),
    };
    let mut with_layer = GradientCarrier {
        grads: of_layer.grads(),
        sum,
    };
    model.visit(&mut with_layer);
    with_layer.sum
}

/// Adds to a sum nothing, with these gradients by a model's parameters.
struct GradientCarrier {
    grads: GradientsParams,
    sum: Tensor<1>,
}

impl ModuleVisitor for GradientCarrier {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(grad) = self.grads.remove::<D>(param.id) else {
            return;
        };
        let row = |x: Tensor<D>| -> Tensor<2> {
            let n = x.shape().num_elements();
            x.reshape([1, n])
        };
        let nothing = Tensor::zeros([1], (&grad.device(), grad.dtype()));
        let nothing = with_gradient(nothing, row(param.base()), row(grad));
        self.sum = self.sum.clone() + nothing.cast(DType::F32);
    }
}

/// `log Σ exp(logits) − logit of the label`, for each row.
///
/// Its gradient, `softmax(logits) − onehot(label)`, is known with its value, so the graph gets that
/// and not the chain of operations that leads to it: with a large vocabulary those are what a step
/// spends much of its time and memory on.
pub(crate) fn nll(logits: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    smoothed_nll(logits, labels, 0.0)
}

/// `log Σ exp(logits) − (1 − ε) logit of the label − ε mean(logits)`, for each row: [`nll`] of
/// labels that are smoothed by ε.
pub(crate) fn smoothed_nll(logits: Tensor<2>, labels: Tensor<1, Int>, smoothing: f64) -> Tensor<1> {
    let [n, n_classes] = logits.dims();
    let labels = labels.reshape([n, 1]).without_autodiff();
    let plain = logits.clone().without_autodiff();
    let probabilities = softmax(plain.clone());
    // By the likeliest token, whose probability is not small: `log p = logit − log Σ exp`.
    let log_sum = plain.clone().max_dim(1) - probabilities.clone().max_dim(1).log();
    let chosen = plain.clone().gather(1, labels.clone());
    let wanted = match smoothing == 0.0 {
        true => chosen.clone(),
        false => {
            let mean = plain.mean_dim(1);
            chosen.clone().mul_scalar(1.0 - smoothing) + mean.mul_scalar(smoothing)
        }
    };
    let value = (log_sum - wanted).reshape([n]);
    if !logits.is_tracked() {
        return value;
    }
    let own = chosen.ones_like().mul_scalar(smoothing - 1.0);
    let gradient = probabilities.scatter(1, labels, own, IndexingUpdateOp::Add);
    let gradient = match smoothing == 0.0 {
        true => gradient,
        false => gradient - smoothing / n_classes as f64,
    };
    with_gradient(value, logits, gradient)
}

/// `Σ −y log σ(x) − (1 − y) log(1 − σ(x))` over the labels of each row, for targets `y` of zero and
/// one.
///
/// Written as `max(x, 0) − x y + log(1 + e^−|x|)`, which holds for scores of any size. Its gradient
/// is `σ(x) − y`, also at zero, where automatic differentiation of the parts would take one of
/// their sides.
///
/// # Shapes
///
/// `logits` and `targets` are `[rows, labels]`, the result `[rows]`.
pub(crate) fn binary_nll(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    let [n, _] = logits.dims();
    let targets = targets.without_autodiff();
    let plain = logits.clone().without_autodiff();
    let value = relu(plain.clone()) - plain.clone() * targets.clone()
        + plain.clone().abs().neg().exp().log1p();
    let value = value.sum_dim(1).reshape([n]);
    if !logits.is_tracked() {
        return value;
    }
    let gradient = sigmoid(plain.clone()) - targets;
    with_gradient(value, logits, gradient)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tolerance};

    use super::*;

    /// `torch.nn.functional.cross_entropy(x, y, label_smoothing=0.1, reduction="none")` of PyTorch
    /// 2.15, and the gradient of its sum.
    #[test]
    fn smoothed_labels_are_torchs() {
        let device = Device::flex().autodiff();
        let logits = [[0.5, -1.0, 2.0], [3.0, 0.25, -0.75]];
        let logits = Tensor::<2>::from_floats(logits, &device).require_grad();
        let labels = Tensor::<1, Int>::from_ints([2, 1], &device);
        let losses = smoothed_nll(logits.clone(), labels, 0.1);
        let near = Tolerance::absolute(1e-6);
        let expected = [0.391_311_35f32, 2.775_498_2];
        losses
            .to_data()
            .assert_approx_eq::<f32>(&expected.into(), near);
        let grads = losses.sum().backward();
        let found = logits.grad(&grads).expect("a gradient").into_data();
        let expected = [
            [0.141_957_06f32, 0.005_779_237, -0.147_736_3],
            [0.886_252_9, -0.874_546_2, -0.011_706_742],
        ];
        found.assert_approx_eq::<f32>(&expected.into(), near);
    }
}
