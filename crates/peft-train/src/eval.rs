//! [`evaluate`] and [`choose`]: how good a model is on rows.

use std::collections::HashMap;

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor, TensorData, activation::log_softmax};
use peft_model::{CausalLm, KvCache, Pass, Read, Transformer};
use serde::Serialize;

use crate::batch::plan_evaluation;
use crate::data::{check_vocabulary, completion_tokens, is_completions};
use crate::loss::{chunks, logits_of, nll, target_states};
use crate::store::{ValueStore, borrowed};
use crate::{Batch, Example, Examples, PaddedTokens, TextTokenizer, TrainError};

/// How good a model is on some rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct EvalReport {
    /// Mean negative log-likelihood of the targets.
    pub loss: f64,
    /// Its exponential.
    pub perplexity: f64,
    /// The fraction of targets that are the likeliest token.
    pub token_accuracy: f64,
    /// The fraction of rows all of whose targets are the likeliest token: greedy generation would
    /// give them.
    pub exact_match: f64,
    /// The mean [`rouge_l`](crate::rouge_l) of generated answers, where some were
    /// ([`Answered`](crate::Answered)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rouge_l: Option<f64>,
    /// Rows.
    pub examples: usize,
    /// Targets.
    pub tokens: usize,
}

/// Evaluate a model that is not in training; see [`Module::valid`](burn::module::Module::valid).
///
/// # Errors
///
/// Those of [`Examples::get`].
///
/// # Panics
///
/// If there is no example, or `batch_size` is 0.
pub fn evaluate<'a, M: CausalLm>(
    model: &M,
    examples: impl Into<Examples<'a, Example>>,
    batch_size: usize,
) -> Result<EvalReport, TrainError> {
    let examples = examples.into();
    let device = device_of(model);
    let (mut total, mut tokens, mut right, mut rows_right) = (0.0, 0, 0, 0);
    for rows in plan_evaluation(&examples.lengths(), batch_size) {
        let batch = Batch::new(&borrowed(&examples.at(&rows)?), &device);
        let n = batch.n_targets();
        let states = target_states(model, &batch, None);
        tokens += n;
        let mut row_right = vec![true; batch.n_examples];
        for (first, rows) in chunks(n, model.vocab_size()) {
            let logits = logits_of(model, states.clone().narrow(0, first, rows));
            let labels = batch.labels.clone().narrow(0, first, rows);
            // Compared on the host: backends index with integers of different widths.
            let likeliest = logits.clone().argmax(1).into_data();
            let wanted = labels.clone().into_data();
            let hits = likeliest
                .iter::<i64>()
                .zip(wanted.iter::<i64>())
                .map(|(a, b)| a == b);
            for (hit, row) in hits.zip(&batch.rows[first..]) {
                right += usize::from(hit);
                row_right[*row] &= hit;
            }
            let losses = nll(logits, labels).into_data();
            total += losses.iter::<f32>().map(f64::from).sum::<f64>();
        }
        rows_right += row_right.into_iter().filter(|right| *right).count();
    }
    let loss = total / tokens as f64;
    Ok(EvalReport {
        loss,
        perplexity: loss.exp(),
        token_accuracy: right as f64 / tokens as f64,
        exact_match: rows_right as f64 / examples.len() as f64,
        rouge_l: None,
        examples: examples.len(),
        tokens,
    })
}

/// For each prompt, the index of the likeliest of `options` as its continuation, by summed
/// log-likelihood.
///
/// Prompt and option are encoded as the one text that they are, as rows are. What all options of a
/// prompt begin with is read once, and they follow it from the cache.
///
/// # Errors
///
/// A [`TrainError`] where a prompt is not had, the tokenizer fails, a prompt or an option has no
/// tokens, both are longer than the model takes, or `batch_size` is 0.
pub fn choose<M: CausalLm>(
    model: &M,
    tokenizer: &TextTokenizer,
    prompts: impl IntoIterator<Item = Result<String, TrainError>>,
    options: &[String],
    batch_size: usize,
) -> Result<Vec<usize>, TrainError> {
    check_batch_size(batch_size)?;
    let device = device_of(model);
    let mut given = ValueStore::<Vec<u32>>::default();
    // How options go on, which few prompts tell apart, by their numbers.
    let mut ways = HashMap::new();
    let mut order = Vec::new();
    for prompt in prompts {
        let case = Case::new(model, tokenizer, &prompt?, options)?;
        let next = ways.len();
        let way: usize = *ways.entry(case.options).or_insert(next);
        order.push((way, case.given.len(), given.len()));
        given.push(&case.given)?;
    }
    let ways: HashMap<usize, Vec<Vec<u32>>> = ways.into_iter().map(|(a, b)| (b, a)).collect();
    // Rows of similar length need little padding.
    order.sort_unstable();
    let mut chosen = vec![0; order.len()];
    for same in order.chunk_by(|a, b| a.0 == b.0) {
        let options = &ways[&same[0].0];
        for batch in same.chunks(batch_size) {
            let rows = batch.iter().map(|(_, _, row)| given.get(*row));
            let rows = rows.collect::<Result<Vec<_>, _>>()?;
            let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
            let best = best_options(model, &rows, options, &device);
            for ((_, _, row), best) in batch.iter().zip(best) {
                chosen[*row] = best;
            }
        }
    }
    Ok(chosen)
}

/// A prompt with its options as tokens.
struct Case {
    /// What all begin with.
    given: Vec<u32>,
    /// How each goes on.
    options: Vec<Vec<u32>>,
}

impl Case {
    fn new<M: CausalLm>(
        model: &M,
        tokenizer: &TextTokenizer,
        prompt: &str,
        options: &[String],
    ) -> Result<Self, TrainError> {
        let limit = model.max_positions();
        let mut given: Option<Vec<u32>> = None;
        let mut all = Vec::with_capacity(options.len());
        for option in options {
            let tokens = completion_tokens(tokenizer, prompt, option, false, usize::MAX)?;
            let ids: Vec<u32> = tokens.iter().map(|token| token.id).collect();
            check_vocabulary(&ids, model.vocab_size())?;
            if ids.len() > limit {
                let tokens = ids.len();
                return Err(TrainError::PromptLength { tokens, limit });
            }
            let border = tokens
                .iter()
                .position(|token| is_completions(token, prompt.len()));
            let Some(border) = border.filter(|border| *border > 0) else {
                return Err(TrainError::Tokenize {
                    reason: format!("`{prompt}` or `{option}` has no tokens"),
                });
            };
            let before = &ids[..border];
            let shared = match &given {
                None => before.len(),
                Some(given) => given.iter().zip(before).take_while(|(a, b)| a == b).count(),
            };
            given = Some(before[..shared].to_vec());
            all.push(ids);
        }
        let given = given.unwrap_or_default();
        if given.is_empty() {
            return Err(TrainError::Tokenize {
                reason: format!("the options of `{prompt}` have no token before them in common"),
            });
        }
        let options = all.iter().map(|ids| ids[given.len()..].to_vec()).collect();
        Ok(Self { given, options })
    }
}

fn best_options<M: CausalLm>(
    model: &M,
    prompts: &[&[u32]],
    options: &[Vec<u32>],
    device: &Device,
) -> Vec<usize> {
    let n = prompts.len();
    let mut cache = model.new_cache();
    let last = read_ends(model, prompts, &mut cache, device);
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
                let ids = PaddedTokens::new(&given, device).ids;
                let hidden = model.hidden(ids, None, Some(&mut cache));
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

/// The states at the ends of rows of any lengths, `[rows, 1, d_model]`.
pub(crate) fn read_ends<M: Transformer>(
    model: &M,
    rows: &[&[u32]],
    cache: &mut KvCache,
    device: &Device,
) -> Tensor<3> {
    let lengths: Vec<usize> = rows.iter().map(|row| row.len()).collect();
    let ends: Vec<i64> = lengths.iter().map(|length| *length as i64 - 1).collect();
    let ends = TensorData::new(ends, [rows.len(), 1]);
    let ends = Read::At(Tensor::from_data(ends, (device, DType::I64)));
    let pass = Pass::of_lengths(lengths).reading(ends);
    let ids = PaddedTokens::new(rows, device).ids;
    model.read(ids, pass, Some(cache)).0
}

/// An error where there are no rows in a batch.
pub(crate) fn check_batch_size(batch_size: usize) -> Result<(), TrainError> {
    match batch_size {
        0 => Err(TrainError::Setting {
            field: "batch size",
            value: "0".into(),
            expected: "at least 1",
        }),
        _ => Ok(()),
    }
}

/// Where a model's parameters are.
pub(crate) fn device_of<M: Module>(model: &M) -> Device {
    model.devices().into_iter().next().unwrap_or_default()
}
