//! [`Batch`]: examples side by side, and the order in which an epoch takes them.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use peft_model::Pass;

use crate::objective::ReadPositions;
use crate::{Example, Regularisation, pack};

/// Examples of similar length are brought together within windows of this many batches.
const WINDOW: usize = 50;

/// Examples padded to one length.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The tokens, padded on the right with token 0, `[batch, positions]`.
    pub ids: Tensor<2, Int>,
    /// The sequence of its row that a position belongs to, `[batch, positions]`, with padding as
    /// the last; none where each row is one sequence.
    pub segments: Option<Tensor<2, Int>>,
    /// The positions whose next token is a target.
    pub(crate) reads: ReadPositions,
    /// The number of tokens of the text that each position belongs to, row by row, 0 for padding.
    text_lengths: Vec<usize>,
    /// The noise of its embeddings.
    noise: Option<Tensor<2>>,
    /// The targets, `[targets]`.
    pub labels: Tensor<1, Int>,
    /// The row of each target, that of its example unless it is packed.
    pub rows: Vec<usize>,
    /// How many examples there are.
    pub n_examples: usize,
}

impl Batch {
    /// A batch of these examples on `device`.
    ///
    /// # Panics
    ///
    /// If there is no example.
    pub fn new(examples: &[&Example], device: &Device) -> Self {
        let positions = examples
            .iter()
            .map(|example| example.ids.len())
            .max()
            .expect("a batch has an example");
        let mut ids = vec![0i64; examples.len() * positions];
        let mut segments = vec![0i64; ids.len()];
        let mut text_lengths = vec![0; ids.len()];
        let (mut labels, mut rows) = (Vec::new(), Vec::new());
        let mut sources = vec![Vec::new(); examples.len()];
        for (row, example) in examples.iter().enumerate() {
            let start = row * positions;
            for (i, id) in example.ids.iter().enumerate() {
                ids[start + i] = i64::from(*id);
                if example.targets[i] && i > 0 {
                    sources[row].push(i - 1);
                    labels.push(i64::from(*id));
                    rows.push(row);
                }
            }
            let length = example.ids.len();
            let firsts = example.starts.iter().chain([&length]);
            for (segment, first) in firsts.enumerate() {
                segments[start + first..start + positions].fill(segment as i64);
            }
            let ends = example.starts.iter().skip(1).chain([&length]);
            for (first, end) in example.starts.iter().zip(ends) {
                text_lengths[start + first..start + end].fill(end - first);
            }
        }
        let shape = [examples.len(), positions];
        let flat = |values: Vec<i64>| {
            let n = values.len();
            Tensor::from_data(TensorData::new(values, [n]), (device, DType::I64))
        };
        Self {
            ids: Tensor::from_data(TensorData::new(ids, shape), (device, DType::I64)),
            segments: segments
                .iter()
                .any(|segment| *segment > 0)
                .then(|| Tensor::from_data(TensorData::new(segments, shape), (device, DType::I64))),
            reads: ReadPositions::new(&sources, positions, device),
            text_lengths,
            noise: None,
            labels: flat(labels),
            rows,
            n_examples: examples.len(),
        }
    }

    /// The same examples behind each other in rows of at most `row_length` tokens, where less is
    /// padded so than with each in a row of its own. Those of a row do not see each other.
    ///
    /// # Panics
    ///
    /// If there is no example.
    pub fn packed(examples: &[&Example], row_length: usize, device: &Device) -> Self {
        match least_padded(examples, row_length) {
            Some(rows) => Self {
                n_examples: examples.len(),
                ..Self::new(&rows.iter().collect::<Vec<_>>(), device)
            },
            None => Self::new(examples, device),
        }
    }

    /// The same, read with this noise by a model of this width.
    #[must_use]
    pub(crate) fn with_noise(self, of: Regularisation, d_model: usize) -> Self {
        let (shape, device) = (self.ids.dims(), self.ids.device());
        Self {
            noise: of.noise(&self.text_lengths, shape, d_model, &device),
            ..self
        }
    }

    /// The pass over its tokens.
    pub(crate) fn pass(&self) -> Pass {
        Pass::new(self.segments.clone()).noisy(self.noise.clone())
    }

    /// How many targets there are.
    pub fn n_targets(&self) -> usize {
        self.rows.len()
    }
}

/// The examples in rows of at most `row_length` tokens, of that length for which the rows have the
/// fewest positions; none where none has fewer than the examples side by side.
fn least_padded(examples: &[&Example], row_length: usize) -> Option<Vec<Example>> {
    let lengths = || examples.iter().map(|example| example.ids.len());
    let (total, longest) = (lengths().sum::<usize>(), lengths().max()?);
    let positions = |rows: &[Example]| {
        let longest = rows.iter().map(|row| row.ids.len()).max();
        rows.len() * longest.unwrap_or(0)
    };
    let equal = (1..examples.len()).map(|rows| total.div_ceil(rows));
    equal
        .chain([row_length])
        .filter(|length| (longest..=row_length).contains(length))
        .map(|length| pack(examples, length))
        .min_by_key(|rows| positions(rows))
        .filter(|rows| positions(rows) < examples.len() * longest)
}

/// The batches of an epoch, as indices of examples of these lengths: shuffled by `(seed, epoch)`,
/// similar lengths together.
///
/// # Panics
///
/// If `batch_size` is 0.
pub fn plan(lengths: &[usize], batch_size: usize, seed: u64, epoch: usize) -> Vec<Vec<usize>> {
    let mut rng = StdRng::seed_from_u64(seed ^ (epoch as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.shuffle(&mut rng);
    for window in order.chunks_mut(batch_size.saturating_mul(WINDOW)) {
        window.sort_by_key(|i| lengths[*i]);
    }
    let mut batches: Vec<Vec<usize>> = order.chunks(batch_size).map(<[_]>::to_vec).collect();
    batches.shuffle(&mut rng);
    batches
}

/// A batch as `n` workers share it: runs of its rows, at most `n`, the longest of which has as few
/// tokens as can be.
pub(crate) fn shares(batch: &[usize], length: impl Fn(usize) -> usize, n: usize) -> Vec<&[usize]> {
    let within = |most: usize| {
        let mut shares: Vec<&[usize]> = Vec::new();
        let (mut first, mut tokens) = (0, 0);
        for (at, row) in batch.iter().enumerate() {
            if at > first && tokens + length(*row) > most {
                shares.push(&batch[first..at]);
                (first, tokens) = (at, 0);
            }
            tokens += length(*row);
        }
        shares.push(&batch[first..]);
        shares
    };
    // No share of more than `low` tokens is too few, one of `high` always enough.
    let (mut low, mut high) = (0, batch.iter().map(|row| length(*row)).sum());
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        match within(middle).len() <= n {
            true => high = middle,
            false => low = middle,
        }
    }
    within(high)
}

/// The batches of an evaluation, as indices of examples of these lengths: all of them once, by
/// length.
///
/// # Panics
///
/// If `batch_size` is 0.
pub fn plan_evaluation(lengths: &[usize], batch_size: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|row| lengths[*row]);
    order.chunks(batch_size).map(<[_]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_shared_by_their_tokens() {
        let lengths = [90, 10, 10, 10, 10, 50];
        let of = |n: usize| {
            let batch: Vec<usize> = (0..lengths.len()).collect();
            let shares = shares(&batch, |row| lengths[row], n);
            assert_eq!(shares.concat(), batch);
            shares.iter().map(|share| share.len()).collect::<Vec<_>>()
        };
        assert_eq!(of(1), [6]);
        assert_eq!(of(2), [1, 5]);
        assert_eq!(of(3), [1, 4, 1]);
        assert!(of(50).len() <= 6);
        // Rows of one length, as by their number.
        let equal: Vec<usize> = (0..9).collect();
        let shares = shares(&equal, |_| 7, 4);
        let rows: Vec<usize> = shares.iter().map(|share| share.len()).collect();
        assert_eq!(rows, [3, 3, 3]);
    }
}
