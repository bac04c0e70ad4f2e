//! [`Spectrum`]: the singular values of a matrix, and what they tell of its rank.

use burn::tensor::Tensor;
use nalgebra::DMatrix;

/// The singular values of a matrix, all of them, from the largest on.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrum(Vec<f64>);

impl Spectrum {
    /// Those of a matrix, none where it is not finite: the roots of the eigenvalues of its product
    /// with its transpose, in f64. Those below 10⁻⁸ of the largest are noise.
    ///
    /// # Shapes
    ///
    /// `matrix` is `[rows, columns]`.
    pub fn of(matrix: Tensor<2>) -> Option<Self> {
        let [rows, columns] = matrix.dims();
        let values: Vec<f64> = matrix.into_data().iter::<f64>().collect();
        if values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let matrix = DMatrix::from_row_iterator(rows, columns, values);
        let gram = match rows <= columns {
            true => &matrix * matrix.transpose(),
            false => matrix.tr_mul(&matrix),
        };
        let eigenvalues = gram.symmetric_eigenvalues();
        let mut values: Vec<f64> = eigenvalues.iter().map(|x| x.max(0.0).sqrt()).collect();
        values.sort_by(|a, b| b.total_cmp(a));
        Some(Self(values))
    }

    /// The singular values, from the largest on.
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// The sum of their squares: `‖M‖²`, of the Frobenius norm.
    pub fn energy(&self) -> f64 {
        self.0.iter().map(|s| s * s).sum()
    }

    /// The part of [`energy`](Self::energy) that the first `rank` have, 1 of a matrix of zeros.
    pub fn energy_at(&self, rank: usize) -> f64 {
        let all = self.energy();
        match all > 0.0 {
            true => self.0.iter().take(rank).map(|s| s * s).sum::<f64>() / all,
            false => 1.0,
        }
    }

    /// The least rank whose part of the energy is at least this.
    pub fn rank_of(&self, part: f64) -> usize {
        let wanted = part * self.energy();
        let mut sum = 0.0;
        let enough = |s: &f64| {
            sum += s * s;
            sum >= wanted * (1.0 - f64::EPSILON)
        };
        match wanted > 0.0 {
            true => self
                .0
                .iter()
                .position(enough)
                .map_or(self.0.len(), |at| at + 1),
            false => 0,
        }
    }

    /// `‖M‖² / σ₁²`: how many directions as strong as the first would have its energy; 0 of a
    /// matrix of zeros.
    pub fn stable_rank(&self) -> f64 {
        match self.0.first() {
            Some(first) if *first > 0.0 => self.energy() / (first * first),
            _ => 0.0,
        }
    }

    /// The exponential of the entropy of `σ / Σσ`: how many equal ones would be as spread. *The
    /// Effective Rank: A Measure of Effective Dimensionality*, Roy and Vetterli 2007. 0 of a matrix
    /// of zeros.
    pub fn effective_rank(&self) -> f64 {
        let sum: f64 = self.0.iter().sum();
        if sum <= 0.0 {
            return 0.0;
        }
        let parts = self.0.iter().map(|s| s / sum).filter(|part| *part > 0.0);
        (-parts.map(|part| part * part.ln()).sum::<f64>()).exp()
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    /// A matrix with these on its diagonal.
    fn diagonal(rows: usize, columns: usize, s: &[f32]) -> Tensor<2> {
        let mut values = vec![0.0; rows * columns];
        for (i, s) in s.iter().enumerate() {
            values[i * columns + i] = *s;
        }
        Tensor::from_data(TensorData::new(values, [rows, columns]), &Device::flex())
    }

    #[test]
    fn values_are_those_of_the_diagonal() {
        for (rows, columns) in [(3, 5), (5, 3)] {
            let found = Spectrum::of(diagonal(rows, columns, &[1.0, -4.0, 2.0]));
            let found = found.expect("it is finite");
            for (found, expected) in found.values().iter().zip([4.0, 2.0, 1.0]) {
                assert!((found - expected).abs() < 1e-6, "{found} {expected}");
            }
            assert_eq!(found.values().len(), 3);
            assert!((found.energy() - 21.0).abs() < 1e-6);
            assert!((found.energy_at(1) - 16.0 / 21.0).abs() < 1e-6);
            assert!((found.stable_rank() - 21.0 / 16.0).abs() < 1e-6);
            assert_eq!([0.5, 0.9, 1.0].map(|part| found.rank_of(part)), [1, 2, 3]);
        }
    }

    #[test]
    fn equal_values_have_the_rank_that_they_are() {
        let found = Spectrum::of(diagonal(6, 6, &[2.0; 4])).expect("it is finite");
        assert!((found.effective_rank() - 4.0).abs() < 1e-3);
        assert!((found.stable_rank() - 4.0).abs() < 1e-6);
        assert_eq!(found.rank_of(0.95), 4);
    }

    #[test]
    fn zeros_have_none_and_nan_is_told() {
        let zeros = diagonal(3, 4, &[]);
        let found = Spectrum::of(zeros.clone()).expect("it is finite");
        assert_eq!((found.stable_rank(), found.effective_rank()), (0.0, 0.0));
        assert_eq!((found.rank_of(0.9), found.energy_at(0)), (0, 1.0));
        assert_eq!(Spectrum::of(zeros.add_scalar(f32::INFINITY)), None);
    }
}
