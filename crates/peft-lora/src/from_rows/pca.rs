//! [`Pca`]: principal directions of rows that come in batches. *Incremental Learning for Robust
//! Visual Tracking*, Ross et al. 2008.

use nalgebra::DMatrix;

use crate::low_rank::leading;

/// The principal directions of all rows so far.
pub(super) struct Pca {
    sought: usize,
    count: f64,
    mean: Vec<f64>,
    /// The sum of the squares of all rows less their mean.
    variation: f64,
    singular: Vec<f64>,
    /// A direction a row.
    directions: DMatrix<f64>,
    /// The cosine of each with what it was a batch before.
    cosines: Vec<f64>,
}

impl Pca {
    pub(super) fn new(width: usize, sought: usize) -> Self {
        Self {
            sought,
            count: 0.0,
            mean: vec![0.0; width],
            variation: 0.0,
            singular: Vec::new(),
            directions: DMatrix::zeros(0, width),
            cosines: Vec::new(),
        }
    }

    /// Take in rows; none where they are not finite.
    pub(super) fn fit(&mut self, values: &[f32]) -> Option<()> {
        let width = self.mean.len();
        let n = values.len() / width;
        let mut rows = DMatrix::from_row_iterator(n, width, values.iter().map(|x| f64::from(*x)));
        let mean: Vec<f64> = rows.column_iter().map(|column| column.mean()).collect();
        for (mut column, mean) in rows.column_iter_mut().zip(&mean) {
            column.add_scalar_mut(-mean);
        }
        let (before, count) = (self.count, n as f64);
        let all = before + count;
        // The means differ, which is one direction more.
        let between = (before * count / all).sqrt();
        let apart: Vec<f64> = self
            .mean
            .iter()
            .zip(&mean)
            .map(|(a, b)| between * (a - b))
            .collect();
        self.variation += rows.norm_squared();
        self.variation += apart.iter().map(|x| x * x).sum::<f64>();
        if !self.variation.is_finite() {
            return None;
        }
        let known = self.singular.len();
        let extra = usize::from(before > 0.0);
        let mut stack = DMatrix::zeros(known + n + extra, width);
        for (i, singular) in self.singular.iter().enumerate() {
            stack
                .row_mut(i)
                .copy_from(&(self.directions.row(i) * *singular));
        }
        stack.rows_mut(known, n).copy_from(&rows);
        if extra == 1 {
            for (x, value) in stack.row_mut(known + n).iter_mut().zip(&apart) {
                *x = *value;
            }
        }
        let sought = self.sought.min(stack.nrows());
        let (_, singular, directions) = leading(&stack, sought)?;
        let directions = directions.columns(0, sought).transpose();
        self.cosines = match before > 0.0 {
            true => (directions.row_iter().zip(self.directions.row_iter()))
                .map(|(now, then)| now.dot(&then).abs())
                .collect(),
            false => Vec::new(),
        };
        for (old, new) in self.mean.iter_mut().zip(&mean) {
            *old = (*old * before + new * count) / all;
        }
        self.count = all;
        self.singular = singular[..sought].to_vec();
        self.directions = directions;
        Some(())
    }

    /// The part of the variation that each direction explains, from the largest on.
    pub(super) fn explained(&self) -> impl Iterator<Item = f64> {
        let all = self.variation.max(f64::MIN_POSITIVE);
        self.singular.iter().map(move |s| s * s / all)
    }

    /// Whether the first of them are as they were a batch before.
    pub(super) fn settled(&self, rank: usize, cosine: f64) -> bool {
        let first = self.cosines.get(..rank);
        first.is_some_and(|first| first.iter().all(|found| *found >= cosine))
    }

    /// The first of them, row by row.
    pub(super) fn directions(&self, rank: usize) -> Vec<f32> {
        let rows = self.directions.row_iter().take(rank);
        rows.flat_map(|row| row.iter().map(|x| *x as f32).collect::<Vec<f32>>())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::low_rank::uniform;

    /// In two batches it finds what one of all rows has.
    #[test]
    fn batches_are_one_set_of_rows() {
        let (n, width) = (60, 7);
        let mut seed = 5;
        let values: Vec<f32> = (0..n * width)
            .map(|at| {
                (uniform(&mut seed) * (1.0 + (at % width) as f64) + (at / width) as f64 / 9.0)
                    as f32
            })
            .collect();
        let fitted = |cuts: &[usize]| {
            let mut pca = Pca::new(width, width);
            let mut from = 0;
            for to in cuts {
                pca.fit(&values[from * width..to * width])
                    .expect("it is finite");
                from = *to;
            }
            pca
        };
        let (whole, parts) = (fitted(&[n]), fitted(&[17, 40, n]));
        let all: f64 = whole.explained().sum();
        assert!((all - 1.0).abs() < 1e-6, "{all}");
        for (a, b) in whole.explained().zip(parts.explained()) {
            assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
        for i in 0..3 {
            let cosine = whole.directions.row(i).dot(&parts.directions.row(i)).abs();
            assert!(cosine > 1.0 - 1e-6, "{cosine}");
        }
        let mut again = fitted(&[n]);
        assert!(!again.settled(1, 0.99));
        again.fit(&values).expect("it is finite");
        assert!(again.settled(3, 0.99));
        assert!(again.fit(&[f32::NAN; 7]).is_none());
    }
}
