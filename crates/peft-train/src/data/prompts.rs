//! [`Prompts`]: what a model reads for each of many rows.

use std::ops::Range;

use crate::TrainError;
use crate::store::ValueStore;

/// The tokens that a model reads for each of many rows, by the rows' numbers. The first 64 MiB of
/// them are in memory, the others in a temporary file without a name.
#[derive(Debug, Default)]
pub struct Prompts(ValueStore<Vec<u32>>);

impl Prompts {
    pub(super) fn push(&mut self, prompt: &Vec<u32>) -> Result<(), TrainError> {
        self.0.push(prompt)
    }

    /// Those of some rows.
    ///
    /// # Errors
    ///
    /// [`TrainError::Io`] and [`TrainError::RowLost`] of the temporary file, and where there are no
    /// such rows.
    pub fn at(&self, rows: Range<usize>) -> Result<Vec<Vec<u32>>, TrainError> {
        rows.map(|row| self.0.get(row)).collect()
    }
}
