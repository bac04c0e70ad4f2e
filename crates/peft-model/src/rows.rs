//! [`Rows`]: where the columns of a cache are in rows of different lengths.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};

/// Of each row and column, the place in its row, and whether it is text or padding.
#[derive(Debug, Clone)]
pub(crate) struct Rows(Vec<Vec<Column>>);

#[derive(Debug, Clone, Copy)]
struct Column {
    /// Of padding the last place of its text.
    place: usize,
    is_text: bool,
}

impl Rows {
    /// Rows whose columns are all text.
    pub(crate) fn whole(batch: usize, columns: usize) -> Self {
        let column = |place| Column {
            place,
            is_text: true,
        };
        Self(vec![(0..columns).map(column).collect(); batch])
    }

    /// The same with `positions` columns more, of which so many in each row are text.
    pub(crate) fn with(mut self, positions: usize, lengths: &[usize]) -> Self {
        assert_eq!(lengths.len(), self.0.len(), "a length for each row");
        for (row, length) in self.0.iter_mut().zip(lengths) {
            let first = row.iter().filter(|column| column.is_text).count();
            let last = (first + length).saturating_sub(1);
            row.extend((0..positions).map(|i| Column {
                place: (first + i).min(last),
                is_text: i < *length,
            }));
        }
        self
    }

    /// Some of the rows.
    pub(crate) fn kept(&self, rows: &[usize]) -> Self {
        Self(rows.iter().map(|row| self.0[*row].clone()).collect())
    }

    /// How many columns of each row are text.
    pub(crate) fn lengths(&self) -> Vec<usize> {
        let text = |row: &Vec<Column>| row.iter().filter(|column| column.is_text).count();
        self.0.iter().map(text).collect()
    }

    /// 0 for text and 1 for padding, `[batch, columns]`.
    pub(crate) fn segments(&self, device: &Device) -> Tensor<2, Int> {
        self.tensor(0, |column| i64::from(!column.is_text), device)
    }

    /// The places of the columns from `start` on, `[batch, columns - start]`.
    pub(crate) fn places(&self, start: usize, device: &Device) -> Tensor<2, Int> {
        self.tensor(start, |column| column.place as i64, device)
    }

    /// The places of a row's columns from `start` on.
    pub(crate) fn places_of(&self, row: usize, start: usize) -> Vec<usize> {
        self.0[row][start..]
            .iter()
            .map(|column| column.place)
            .collect()
    }

    fn tensor(&self, start: usize, of: impl Fn(&Column) -> i64, device: &Device) -> Tensor<2, Int> {
        let values: Vec<i64> = self
            .0
            .iter()
            .flat_map(|row| row[start..].iter().map(&of))
            .collect();
        let columns = values.len() / self.0.len().max(1);
        let data = TensorData::new(values, [self.0.len(), columns]);
        Tensor::from_data(data, (device, DType::I64))
    }
}
