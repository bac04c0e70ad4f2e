//! [`classify`] and [`tag_words`]: what a trained classifier says of new text.

use peft_model::{SequenceClassifier, TokenClassifier};

use super::sequence::{class_logits, likeliest, likely, score_rows};
use super::tag_example::firsts;
use super::token::logits_at;
use super::{LabelSet, Prediction, ProblemType};
use crate::data::check_vocabulary;
use crate::eval::{check_batch_size, device_of};
use crate::tokenizer::TextEncoding;
use crate::{PaddedTokens, TextTokenizer, TrainError};

/// A text that a model is asked about, or a pair of texts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TextInput {
    /// The text.
    pub text: String,
    /// The second one of a pair.
    pub pair: Option<String>,
}

impl From<String> for TextInput {
    fn from(text: String) -> Self {
        Self { text, pair: None }
    }
}

/// What a model says of each text.
///
/// # Errors
///
/// A [`TrainError`] where the tokenizer fails, a text has no tokens or one that the model does not
/// know, or `batch_size` is 0.
pub fn classify<M: SequenceClassifier>(
    model: &M,
    tokenizer: &TextTokenizer,
    problem: ProblemType,
    labels: &LabelSet,
    texts: &[TextInput],
    max_length: usize,
    batch_size: usize,
) -> Result<Vec<Prediction>, TrainError> {
    check_batch_size(batch_size)?;
    let device = device_of(model);
    let rows = texts
        .iter()
        .map(|TextInput { text, pair }| {
            let found = tokenizer.encode_within(text, pair.as_deref(), max_length)?;
            check_vocabulary(&found.ids, model.vocab_size())?;
            match found.ids.is_empty() {
                true => Err(no_tokens(text)),
                false => Ok(found),
            }
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|i| rows[*i].ids.len());
    let mut predictions = vec![None; rows.len()];
    for batch in order.chunks(batch_size) {
        let of = |part: fn(&TextEncoding) -> &[u32]| -> Vec<&[u32]> {
            batch.iter().map(|i| part(&rows[*i])).collect()
        };
        let tokens = PaddedTokens::new(&of(|row| &row.ids), &device);
        let tokens = tokens.with_types(&of(|row| &row.types));
        let scores = score_rows(class_logits(model, tokens, None));
        for (i, scores) in batch.iter().zip(scores) {
            predictions[*i] = Some(prediction(&scores, problem, labels));
        }
    }
    Ok(predictions.into_iter().flatten().collect())
}

fn prediction(scores: &[f32], problem: ProblemType, labels: &LabelSet) -> Prediction {
    let named = |probabilities: Vec<f64>| {
        let names = labels.names().iter().cloned();
        names.zip(probabilities).collect()
    };
    match problem {
        ProblemType::SingleLabel => Prediction::Class {
            label: labels.name(likeliest(scores)).to_owned(),
            probabilities: named(softmax(scores)),
        },
        ProblemType::MultiLabel => {
            let on = likely(scores).into_iter().zip(labels.names());
            let on = on.filter(|(on, _)| *on).map(|(_, name)| name.clone());
            let sigmoid = |score: &f32| 1.0 / (1.0 + (-f64::from(*score)).exp());
            Prediction::Classes {
                labels: on.collect(),
                probabilities: named(scores.iter().map(sigmoid).collect()),
            }
        }
        ProblemType::Regression => Prediction::Value {
            value: f64::from(scores[0]),
        },
    }
}

fn softmax(scores: &[f32]) -> Vec<f64> {
    let highest = f64::from(scores[likeliest(scores)]);
    let weights = scores
        .iter()
        .map(|score| (f64::from(*score) - highest).exp());
    let weights: Vec<f64> = weights.collect();
    let total: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / total).collect()
}

/// The tag of each word of each text; words beyond the maximal length, and those that have no
/// token, get none.
///
/// # Errors
///
/// A [`TrainError`] where the tokenizer fails, a text has a token that the model does not know, or
/// `batch_size` is 0.
pub fn tag_words<M: TokenClassifier>(
    model: &M,
    tokenizer: &TextTokenizer,
    labels: &LabelSet,
    texts: &[Vec<String>],
    max_length: usize,
    batch_size: usize,
) -> Result<Vec<Vec<Option<String>>>, TrainError> {
    check_batch_size(batch_size)?;
    let device = device_of(model);
    let tokenizer = tokenizer.for_words()?;
    let mut tags: Vec<Vec<Option<String>>> = texts.iter().map(|t| vec![None; t.len()]).collect();
    for (texts, tags) in texts.chunks(batch_size).zip(tags.chunks_mut(batch_size)) {
        let rows = texts
            .iter()
            .map(|words| tokenizer.encode_words(words, max_length))
            .collect::<Result<Vec<_>, _>>()?;
        let (ids, words): (Vec<&[u32]>, Vec<_>) = rows
            .iter()
            .map(|row| (row.ids.as_slice(), firsts(&row.words)))
            .unzip();
        for ids in &ids {
            check_vocabulary(ids, model.vocab_size())?;
        }
        // Nothing is read of texts that have no words, such as white space.
        if words
            .iter()
            .all(|words| words.iter().flatten().next().is_none())
        {
            continue;
        }
        let batch = PaddedTokens::new(&ids, &device);
        let places: Vec<Vec<usize>> = words
            .iter()
            .map(|words| (0..words.len()).filter(|i| words[*i].is_some()).collect())
            .collect();
        let scores = score_rows(logits_at(model, batch, &places, None, &device));
        let words = words.iter().enumerate();
        let owners = words.flat_map(|(row, words)| words.iter().flatten().map(move |w| (row, *w)));
        for ((row, word), scores) in owners.zip(scores) {
            tags[row][word] = Some(labels.name(likeliest(&scores)).to_owned());
        }
    }
    Ok(tags)
}

fn no_tokens(text: &str) -> TrainError {
    TrainError::Tokenize {
        reason: format!("`{text}` has no tokens"),
    }
}
