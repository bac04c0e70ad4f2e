//! Losses: of a batch of text, only at the targets; of one class a row; of several.

use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::{DType, IndexingUpdateOp, Int, Tensor};
use peft_kernels::{softmax, with_gradient};
use peft_models::CausalLm;

use crate::objective::states_read;
use crate::{Batch, TrunkStates};

/// The scores of every token at a batch's targets in f32, `[targets, vocabulary]`.
///
/// The last block and the output layer run on the states that predict a target and on no others, or the former on all if that is most of them.
pub(crate) fn target_logits<M: CausalLm>(
    model: &M,
    batch: &Batch,
    trunk: Option<TrunkStates>,
) -> Tensor<2> {
    let (ids, segments) = (batch.ids.clone(), batch.segments.clone());
    let states = states_read(model, ids, segments, &batch.reads, trunk);
    let n = states.dims()[0];
    let logits = model.logits(states.unsqueeze());
    let vocab = logits.dims()[2];
    logits.reshape([n, vocab]).cast(DType::F32)
}

/// The negative log-likelihood of each target in f32, `[targets]`.
pub fn target_nll<M: CausalLm>(model: &M, batch: &Batch) -> Tensor<1> {
    target_nll_from(model, batch, None)
}

/// The same, from what the trunk gave for the batch.
pub(crate) fn target_nll_from<M: CausalLm>(
    model: &M,
    batch: &Batch,
    trunk: Option<TrunkStates>,
) -> Tensor<1> {
    nll(target_logits(model, batch, trunk), batch.labels.clone())
}

/// `log Σ exp(logits) − logit of the label`, for each row.
///
/// Its gradient, `softmax(logits) − onehot(label)`, is known with its value, so the graph gets that and not the chain of operations that leads to
/// it: with a large vocabulary those are what a step spends much of its time and memory on.
pub(crate) fn nll(logits: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    let [n, _] = logits.dims();
    let labels = labels.reshape([n, 1]).without_autodiff();
    let plain = logits.clone().without_autodiff();
    let probabilities = softmax(plain.clone());
    // By the likeliest token, whose probability is not small: `log p = logit − log Σ exp`.
    let log_sum = plain.clone().max_dim(1) - probabilities.clone().max_dim(1).log();
    let chosen = plain.clone().gather(1, labels.clone());
    let value = (log_sum - chosen.clone()).reshape([n]);
    if !logits.is_tracked() {
        return value;
    }
    let minus_one = chosen.ones_like().neg();
    let gradient = probabilities.scatter(1, labels, minus_one, IndexingUpdateOp::Add);
    with_gradient(value, logits, gradient)
}

/// `Σ −y log σ(x) − (1 − y) log(1 − σ(x))` over the labels of each row, for targets `y` of zero and one.
///
/// Written as `max(x, 0) − x y + log(1 + e^−|x|)`, which holds for scores of any size. Its gradient is `σ(x) − y`, also at zero, where automatic differentiation
/// of the parts would take one of their sides.
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
