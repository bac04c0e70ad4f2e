//! [`embed`]: one vector for each text.

use burn::tensor::DType;
use peft_model::Transformer;

use crate::data::check_vocabulary;
use crate::eval::{check_batch_size, device_of};
use crate::{PaddedTokens, TrainError};

/// How the states of a text become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pool {
    /// The mean over its tokens, special ones included.
    #[default]
    Mean,
    /// The state of its first token.
    First,
    /// The state of its last token.
    Last,
}

/// The vector of each row of tokens, in f32, of a model that is not in training.
///
/// # Errors
///
/// A [`TrainError`] where a row has no tokens or one that the model does not know, or `batch_size`
/// is 0.
pub fn embed<M: Transformer>(
    model: &M,
    rows: &[Vec<u32>],
    pool: Pool,
    batch_size: usize,
) -> Result<Vec<Vec<f32>>, TrainError> {
    check_batch_size(batch_size)?;
    for row in rows {
        check_vocabulary(row, model.vocab_size())?;
        if row.is_empty() {
            let reason = "a text has no tokens".into();
            return Err(TrainError::Tokenize { reason });
        }
    }
    let device = device_of(model);
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|i| rows[*i].len());
    let mut vectors = vec![Vec::new(); rows.len()];
    for batch in order.chunks(batch_size) {
        let ids: Vec<&[u32]> = batch.iter().map(|i| rows[*i].as_slice()).collect();
        let tokens = PaddedTokens::new(&ids, &device);
        let hidden = model.hidden(tokens.ids, tokens.segments, None);
        let [_, positions, d_model] = hidden.dims();
        // A soft prompt's states may stand before those of the text.
        let first = positions - tokens.positions;
        let data = hidden.cast(DType::F32).into_data();
        let states: Vec<f32> = data.iter::<f32>().collect();
        for (i, states) in batch.iter().zip(states.chunks(positions * d_model)) {
            let text = &states[first * d_model..(first + rows[*i].len()) * d_model];
            vectors[*i] = match pool {
                Pool::Mean => mean(text, d_model),
                Pool::First => text[..d_model].to_vec(),
                Pool::Last => text[text.len() - d_model..].to_vec(),
            };
        }
    }
    Ok(vectors)
}

fn mean(states: &[f32], d_model: usize) -> Vec<f32> {
    let mut sums = vec![0.0; d_model];
    for state in states.chunks(d_model) {
        for (sum, value) in sums.iter_mut().zip(state) {
            *sum += f64::from(*value);
        }
    }
    let n = (states.len() / d_model) as f64;
    sums.into_iter().map(|sum| (sum / n) as f32).collect()
}
