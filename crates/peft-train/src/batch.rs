//! [`Batch`]: examples side by side, and the order in which an epoch takes them.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use crate::objective::ReadPositions;
use crate::{Example, TrainExample, pack};

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
        .map(|length| pack(examples.iter().copied().cloned().collect(), length))
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

/// The batches of an evaluation: all examples once, by length.
///
/// # Panics
///
/// If `batch_size` is 0.
pub fn plan_evaluation<E: TrainExample>(examples: &[E], batch_size: usize) -> Vec<Vec<&E>> {
    let mut order: Vec<&E> = examples.iter().collect();
    order.sort_by_key(|example| example.length());
    order.chunks(batch_size).map(<[_]>::to_vec).collect()
}
