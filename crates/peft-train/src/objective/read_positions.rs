//! [`ReadPositions`]: the positions of a batch that a head reads.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};

/// The positions of a batch that a head reads, and whether the last block is worth computing at
/// these alone.
#[derive(Debug, Clone)]
pub(crate) struct ReadPositions {
    /// `row · positions + position` of each, row by row, `[reads]`.
    pub(super) flat: Tensor<1, Int>,
    /// None where all positions are computed.
    pub(super) queries: Option<QueryPositions>,
}

/// The positions that the last block computes, where not all.
#[derive(Debug, Clone)]
pub(super) struct QueryPositions {
    /// Read positions, padded to the longest row by repeating the first, `[rows, computed]`.
    pub(super) at: Tensor<2, Int>,
    /// `row · computed + i` of each that is read, `[reads]`.
    pub(super) flat: Tensor<1, Int>,
}

impl ReadPositions {
    /// These positions of each row of a batch, `positions` long.
    pub(crate) fn new(places: &[Vec<usize>], positions: usize, device: &Device) -> Self {
        let computed = places.iter().map(Vec::len).max().unwrap_or(0);
        // Selecting costs too: it is to save a quarter of the positions at least.
        let pays = computed > 0 && 4 * computed <= 3 * positions;
        Self {
            flat: flat(places, positions, device),
            queries: pays.then(|| QueryPositions::new(places, computed, device)),
        }
    }
}

impl QueryPositions {
    fn new(places: &[Vec<usize>], computed: usize, device: &Device) -> Self {
        let padded = places.iter().flat_map(|places| {
            let first = places.first().copied().unwrap_or(0);
            let own = places.iter().copied();
            own.chain(std::iter::repeat(first)).take(computed)
        });
        let indices: Vec<Vec<usize>> = places.iter().map(|p| (0..p.len()).collect()).collect();
        Self {
            at: tensor(padded.collect(), device).reshape([places.len(), computed]),
            flat: flat(&indices, computed, device),
        }
    }
}

/// `row · width + place` of each place, row by row.
fn flat(places: &[Vec<usize>], width: usize, device: &Device) -> Tensor<1, Int> {
    let rows = places.iter().enumerate();
    let flat = rows.flat_map(|(row, places)| places.iter().map(move |place| row * width + place));
    tensor(flat.collect(), device)
}

fn tensor(values: Vec<usize>, device: &Device) -> Tensor<1, Int> {
    let values: Vec<i64> = values.into_iter().map(|value| value as i64).collect();
    let n = values.len();
    Tensor::from_data(TensorData::new(values, [n]), (device, DType::I64))
}
