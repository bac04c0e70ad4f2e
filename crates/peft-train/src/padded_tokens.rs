//! [`PaddedTokens`]: rows of tokens side by side.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use peft_model::Pass;

use crate::Regularisation;

/// Rows of tokens padded on the right to one length, each one sequence.
#[derive(Debug, Clone)]
pub struct PaddedTokens {
    /// The tokens, padded with token 0, `[rows, positions]`.
    pub ids: Tensor<2, Int>,
    /// 0 for text and 1 for padding, `[rows, positions]`; none where nothing is padded.
    pub segments: Option<Tensor<2, Int>>,
    /// The type of each, `[rows, positions]`; none where all are 0.
    pub types: Option<Tensor<2, Int>>,
    /// The noise of their embeddings, as [`Pass::noise`]; none where they are read as they are.
    pub noise: Option<Tensor<2>>,
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
            types: None,
            noise: None,
            positions,
        }
    }

    /// The same, read with this noise by a model of this width; `rows` are those that it was made
    /// of.
    #[must_use]
    pub fn with_noise(self, of: Regularisation, rows: &[&[u32]], d_model: usize) -> Self {
        let (shape, device) = (self.ids.dims(), self.ids.device());
        let mut lengths = vec![0; shape[0] * shape[1]];
        for (row, start) in rows.iter().zip((0..).step_by(shape[1].max(1))) {
            lengths[start..start + row.len()].fill(row.len());
        }
        Self {
            noise: of.noise(&lengths, shape, d_model, &device),
            ..self
        }
    }

    /// The pass over them.
    pub fn pass(&self) -> Pass {
        Pass::new(self.segments.clone())
            .typed(self.types.clone())
            .noisy(self.noise.clone())
    }

    /// The same with the type of each token, of rows that may have none: all of theirs are 0.
    ///
    /// # Panics
    ///
    /// If there are other rows than these, or a row is longer than they are.
    pub fn with_types(mut self, rows: &[&[u32]]) -> Self {
        if rows.iter().all(|row| row.is_empty()) {
            return self;
        }
        let shape = self.ids.dims();
        assert_eq!(shape[0], rows.len(), "types of other rows");
        let mut types = vec![0i64; shape[0] * shape[1]];
        for (row, start) in rows.iter().zip((0..).step_by(shape[1].max(1))) {
            for (i, of) in row.iter().enumerate() {
                types[start + i] = i64::from(*of);
            }
        }
        let data = TensorData::new(types, shape);
        self.types = Some(Tensor::from_data(data, (&self.ids.device(), DType::I64)));
        self
    }
}
