//! [`PaddedTokens`]: rows of tokens side by side.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};

/// Rows of tokens padded on the right to one length, each one sequence.
#[derive(Debug, Clone)]
pub struct PaddedTokens {
    /// The tokens, padded with token 0, `[rows, positions]`.
    pub ids: Tensor<2, Int>,
    /// 0 for text and 1 for padding, `[rows, positions]`; none where nothing is padded.
    pub segments: Option<Tensor<2, Int>>,
    /// The length that all have now.
    pub positions: usize,
}

impl PaddedTokens {
    /// These rows on `device`.
    ///
    /// # Panics
    ///
    /// If there is no row.
    pub fn new(rows: &[&[u32]], device: &Device) -> Self {
        let lengths = rows.iter().map(|row| row.len());
        let positions = lengths.max().expect("a batch has a row");
        let mut ids = vec![0i64; rows.len() * positions];
        let mut segments = vec![1i64; ids.len()];
        for (row, start) in rows.iter().zip((0..).step_by(positions.max(1))) {
            for (i, id) in row.iter().enumerate() {
                ids[start + i] = i64::from(*id);
            }
            segments[start..start + row.len()].fill(0);
        }
        let shape = [rows.len(), positions];
        let padded = segments.contains(&1);
        let tensor = |values: Vec<i64>| {
            Tensor::from_data(TensorData::new(values, shape), (device, DType::I64))
        };
        Self {
            ids: tensor(ids),
            segments: padded.then(|| tensor(segments)),
            positions,
        }
    }
}
