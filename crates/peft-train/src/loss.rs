//! The loss of a batch: only at the targets.

use burn::tensor::{DType, Tensor, activation::log_softmax};
use peft_models::CausalLm;

use crate::Batch;

/// The logarithms of the probabilities at a batch's targets, `[targets, vocabulary]`.
///
/// The output layer runs on the states that predict a target and on no others.
pub(crate) fn target_log_probs<M: CausalLm>(model: &M, batch: &Batch) -> Tensor<2> {
    let hidden = model.hidden(batch.ids.clone(), batch.padding.clone(), None);
    let [rows, positions, d_model] = hidden.dims();
    let hidden = hidden
        .reshape([rows * positions, d_model])
        .select(0, batch.sources.clone());
    let [n, _] = hidden.dims();
    let logits = model.logits(hidden.reshape([1, n, d_model]));
    let vocab = logits.dims()[2];
    log_softmax(logits.reshape([n, vocab]).cast(DType::F32), 1)
}

/// The negative log-likelihood of each target in f32, `[targets]`.
pub fn target_nll<M: CausalLm>(model: &M, batch: &Batch) -> Tensor<1> {
    let n = batch.n_targets();
    target_log_probs(model, batch)
        .gather(1, batch.labels.clone().reshape([n, 1]))
        .reshape([n])
        .neg()
}
