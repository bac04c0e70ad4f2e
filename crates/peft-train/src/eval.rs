//! [`evaluate`] and [`choose`]: how good a model is on rows.

use burn::module::Module;
use burn::tensor::{DType, ElementConversion};
use burn::tensor::{Device, Int, Tensor, TensorData, activation::log_softmax};
use peft_models::CausalLm;
use serde::Serialize;

use crate::batch::plan_evaluation;
use crate::loss::{nll, target_logits};
use crate::{Batch, EncodeSpecial, Example, TextTokenizer, TrainError};

/// How good a model is on some rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct EvalReport {
    /// Mean negative log-likelihood of the targets.
    pub loss: f64,
    /// Its exponential.
    pub perplexity: f64,
    /// The fraction of targets that are the likeliest token.
    pub token_accuracy: f64,
    /// The fraction of rows all of whose targets are the likeliest token: greedy generation would give them.
    pub exact_match: f64,
    /// Rows.
    pub examples: usize,
    /// Targets.
    pub tokens: usize,
}

/// Evaluate a model that is not in training; see [`Module::valid`](burn::module::Module::valid).
///
/// # Panics
///
/// If there is no example.
pub fn evaluate<M: CausalLm>(model: &M, examples: &[Example], batch_size: usize) -> EvalReport {
    let device = device_of(model);
    let (mut total, mut tokens, mut right, mut rows_right) = (0.0, 0, 0, 0);
    for rows in plan_evaluation(examples, batch_size) {
        let batch = Batch::new(&rows, &device);
        let n = batch.n_targets();
        let logits = target_logits(model, &batch, None);
        // Compared on the host: backends index with integers of different widths.
        let likeliest = logits.clone().argmax(1).into_data();
        let wanted = batch.labels.clone().into_data();
        let hits = likeliest
            .iter::<i64>()
            .zip(wanted.iter::<i64>())
            .map(|(a, b)| a == b);
        let losses = nll(logits, batch.labels.clone()).into_data();
        total += losses.iter::<f32>().map(f64::from).sum::<f64>();
        tokens += n;
        let mut row_right = vec![true; batch.n_examples];
        for (hit, row) in hits.zip(&batch.rows) {
            right += usize::from(hit);
            row_right[*row] &= hit;
        }
        rows_right += row_right.into_iter().filter(|right| *right).count();
    }
    let loss = total / tokens as f64;
    EvalReport {
        loss,
        perplexity: loss.exp(),
        token_accuracy: right as f64 / tokens as f64,
        exact_match: rows_right as f64 / examples.len() as f64,
        examples: examples.len(),
        tokens,
    }
}

/// For each prompt, the index of the likeliest of `options` as its continuation, by summed log-likelihood.
///
/// Each prompt is read once; the options follow it from the cache.
///
/// # Errors
///
/// A [`TrainError`] where the tokenizer fails or a prompt or an option has no tokens.
pub fn choose<M: CausalLm>(
    model: &M,
    tokenizer: &TextTokenizer,
    prompts: &[String],
    options: &[String],
    batch_size: usize,
) -> Result<Vec<usize>, TrainError> {
    let device = device_of(model);
    let encode = |text: &String, special| {
        let ids = tokenizer.encode(text, special)?;
        if ids.is_empty() {
            return Err(TrainError::Tokenize {
                reason: format!("`{text}` has no tokens"),
            });
        }
        Ok(ids)
    };
    let options = options
        .iter()
        .map(|option| encode(option, EncodeSpecial::None))
        .collect::<Result<Vec<_>, _>>()?;
    let prompts = prompts
        .iter()
        .map(|prompt| encode(prompt, EncodeSpecial::Begin))
        .collect::<Result<Vec<_>, _>>()?;
    // Prompts of one length need no padding, so positions after the cache are those of generation.
    let mut order: Vec<usize> = (0..prompts.len()).collect();
    order.sort_by_key(|i| prompts[*i].len());
    let mut chosen = vec![0; prompts.len()];
    for same in order.chunk_by(|a, b| prompts[*a].len() == prompts[*b].len()) {
        for indices in same.chunks(batch_size) {
            let rows: Vec<&[u32]> = indices.iter().map(|i| prompts[*i].as_slice()).collect();
            for (i, best) in indices
                .iter()
                .zip(best_options(model, &rows, &options, &device))
            {
                chosen[*i] = best;
            }
        }
    }
    Ok(chosen)
}

fn best_options<M: CausalLm>(
    model: &M,
    prompts: &[&[u32]],
    options: &[Vec<u32>],
    device: &Device,
) -> Vec<usize> {
    let n = prompts.len();
    let positions = prompts[0].len();
    let mut cache = model.new_cache();
    let hidden = model.hidden(id_tensor(prompts, device), None, Some(&mut cache));
    let last = hidden.narrow(1, positions - 1, 1);
    let first = log_softmax(model.logits(last).cast(DType::F32), 2); // [n, 1, vocabulary]
    let scores: Vec<Vec<f32>> = options
        .iter()
        .map(|option| {
            let at = |log_probs: Tensor<3>, position: usize, token: u32| {
                let token = token as usize;
                log_probs
                    .narrow(1, position, 1)
                    .narrow(2, token, 1)
                    .reshape([n])
            };
            let mut score = at(first.clone(), 0, option[0]);
            if option.len() > 1 {
                let given = vec![&option[..option.len() - 1]; n];
                let mut cache = cache.clone();
                let hidden = model.hidden(id_tensor(&given, device), None, Some(&mut cache));
                let rest = log_softmax(model.logits(hidden).cast(DType::F32), 2);
                for (i, token) in option[1..].iter().enumerate() {
                    score = score + at(rest.clone(), i, *token);
                }
            }
            score.into_data().iter::<f32>().collect()
        })
        .collect();
    (0..n)
        .map(|row| {
            (0..options.len())
                .max_by(|a, b| scores[*a][row].total_cmp(&scores[*b][row]))
                .unwrap_or(0)
        })
        .collect()
}

/// Rows of one length as a tensor, `[rows, positions]`.
pub(crate) fn id_tensor(rows: &[&[u32]], device: &Device) -> Tensor<2, Int> {
    let ids: Vec<i64> = rows
        .iter()
        .flat_map(|row| row.iter().map(|id| id.elem::<i64>()))
        .collect();
    let shape = [rows.len(), rows[0].len()];
    Tensor::from_data(TensorData::new(ids, shape), (device, DType::I64))
}

/// Where a model's parameters are.
pub(crate) fn device_of<M: Module>(model: &M) -> Device {
    model.devices().into_iter().next().unwrap_or_default()
}
