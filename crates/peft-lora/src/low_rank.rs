//! [`LowRank`]: the factors that are nearest to a change of a weight.

use burn::tensor::{DType, Device, Tensor, TensorData};
use nalgebra::DMatrix;

/// Directions that are sought beyond those that are wanted.
const BEYOND: usize = 16;
/// Times that the matrix and its transpose are applied to them, so that those of small singular
/// values fade.
const ROUNDS: usize = 4;
/// All are computed where no more than one of so many is left out.
const MANY: usize = 4;
/// Steps of a decomposition, at most, for each of its values.
const STEPS: usize = 100;

/// How large an approximation is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Size {
    /// Of this rank, or of the matrix's smaller side where that is less.
    Rank(usize),
    /// The least rank, at least 1, that leaves no more than `1 − energy` of the sum of all squares.
    Energy(f64),
}

/// `A B` near to a matrix: by its largest singular values, each shared evenly by both factors.
#[derive(Debug, Clone)]
pub struct LowRank {
    /// `U √S`, `[d_in, rank]`.
    pub a: Tensor<2>,
    /// `√S Vᵀ`, `[rank, d_out]`.
    pub b: Tensor<2>,
    /// `S`, from the largest on.
    pub singular_values: Vec<f64>,
    /// `‖M − A B‖ / ‖M‖`, 0 for a matrix of zeros.
    pub error: f64,
}

impl LowRank {
    /// Approximate a matrix; none where it is not finite, or empty.
    ///
    /// The directions are found by products with random ones, the same in every run: *Finding
    /// Structure with Randomness*, Halko, Martinsson and Tropp 2011,
    /// [arXiv:0909.4061](https://arxiv.org/abs/0909.4061), algorithms 4.4 and 5.1. A matrix whose
    /// rank is no larger comes out as it is, to rounding.
    ///
    /// # Shapes
    ///
    /// `matrix` is `[d_in, d_out]`.
    pub fn of(matrix: Tensor<2>, size: Size) -> Option<Self> {
        let (device, [d_in, d_out]) = (matrix.device(), matrix.dims());
        let values: Vec<f64> = matrix.into_data().iter::<f64>().collect();
        let all: f64 = values.iter().map(|x| x * x).sum();
        if !all.is_finite() || d_in.min(d_out) == 0 {
            return None;
        }
        let matrix = DMatrix::from_row_iterator(d_in, d_out, values);
        let side = d_in.min(d_out);
        let (rank, (u, s, v)) = match size {
            Size::Rank(rank) => (rank.min(side), leading(&matrix, rank.min(side))?),
            Size::Energy(energy) => {
                let mut sought = BEYOND.min(side);
                loop {
                    let found = leading(&matrix, sought)?;
                    // Of those that are sought beyond, the least are not exact.
                    let known = match found.1.len() == side {
                        true => side,
                        false => sought,
                    };
                    match needed(&found.1[..known], energy * all) {
                        Some(rank) => break (rank, found),
                        None if known == side => break (side, found),
                        None => sought = side.min(2 * sought),
                    }
                }
            }
        };
        Some(Self::made_of((u, s, v), rank.max(1), all, &device))
    }

    /// Of this rank, or of the smaller side where that is less: exact, or by products with random
    /// directions in so many rounds. None of a matrix that is not finite.
    pub(crate) fn principal(matrix: Tensor<2>, rank: usize, rounds: Option<usize>) -> Option<Self> {
        let (device, [d_in, d_out]) = (matrix.device(), matrix.dims());
        let values: Vec<f64> = matrix.into_data().iter::<f64>().collect();
        let energy: f64 = values.iter().map(|x| x * x).sum();
        if !energy.is_finite() {
            return None;
        }
        let matrix = DMatrix::from_row_iterator(d_in, d_out, values);
        let rank = rank.min(d_in).min(d_out);
        let found = match rounds {
            Some(rounds) => sought(&matrix, rank, rounds)?,
            None => exact(&matrix)?,
        };
        Some(Self::made_of(found, rank, energy, &device))
    }

    /// Of this rank, or less where the factors have less: exact, by the factors alone. None where
    /// one is not finite.
    ///
    /// # Shapes
    ///
    /// `a` is `[d_in, n]`, `b` is `[n, d_out]`.
    pub(crate) fn of_product(a: Tensor<2>, b: Tensor<2>, rank: usize) -> Option<Self> {
        let device = a.device();
        let matrix = |factor: Tensor<2>| {
            let [rows, columns] = factor.dims();
            let values: Vec<f64> = factor.into_data().iter::<f64>().collect();
            let finite = values.iter().all(|value| value.is_finite());
            finite.then(|| DMatrix::from_row_iterator(rows, columns, values))
        };
        let (a, b) = (matrix(a)?.qr(), matrix(b)?.transpose().qr());
        // A B = Q_a (R_a R_bᵀ) Q_bᵀ, and the middle one is small.
        let (u, s, v) = exact(&(a.r() * b.r().transpose()))?;
        let energy = s.iter().map(|s| s * s).sum();
        let rank = rank.min(s.len());
        let found = (a.q() * u, s, b.q() * v);
        Some(Self::made_of(found, rank, energy, &device))
    }

    /// Of the first of these, where all together have this sum of squares.
    fn made_of((u, s, v): Decomposed, rank: usize, all: f64, device: &Device) -> Self {
        let singular_values = s[..rank].to_vec();
        let kept: f64 = singular_values.iter().map(|s| s * s).sum();
        let error = match all > 0.0 {
            true => ((all - kept).max(0.0) / all).sqrt(),
            false => 0.0,
        };
        // The transposes' columns are what is wanted row by row.
        let factor = |vectors: &DMatrix<f64>| {
            let columns = vectors.columns(0, rank);
            let scaled = columns.column_iter().zip(&singular_values);
            let scaled = scaled.flat_map(|(column, s)| {
                let root = s.sqrt();
                column
                    .iter()
                    .map(move |x| (x * root) as f32)
                    .collect::<Vec<_>>()
            });
            let data = TensorData::new(scaled.collect::<Vec<f32>>(), [rank, vectors.nrows()]);
            Tensor::<2>::from_data(data, (device, DType::F32))
        };
        let (a, b) = (factor(&u).transpose(), factor(&v));
        Self {
            a,
            b,
            singular_values,
            error,
        }
    }
}

/// `U`, `S` and `V`.
pub(crate) type Decomposed = (DMatrix<f64>, Vec<f64>, DMatrix<f64>);

/// How many of these singular values have this sum of squares.
fn needed(values: &[f64], energy: f64) -> Option<usize> {
    let mut sum = 0.0;
    for (i, value) in values.iter().enumerate() {
        if sum >= energy {
            return Some(i);
        }
        sum += value * value;
    }
    (sum >= energy).then_some(values.len())
}

/// `U`, `S` and `V` of the largest singular values, at least `rank` of them.
pub(crate) fn leading(matrix: &DMatrix<f64>, rank: usize) -> Option<Decomposed> {
    let (rows, columns) = matrix.shape();
    match rank.saturating_mul(MANY) < rows.min(columns) {
        true => sought(matrix, rank, ROUNDS),
        false => exact(matrix),
    }
}

/// All of a matrix.
pub(crate) fn exact(matrix: &DMatrix<f64>) -> Option<Decomposed> {
    match matrix.nrows() <= matrix.ncols() {
        true => all(matrix),
        false => all(&matrix.transpose()).map(|(v, s, u)| (u, s, v)),
    }
}

/// All of a matrix that is no taller than wide, by the eigenvectors of `M Mᵀ`: exact to 10⁻⁸ of the
/// largest, which is nothing in f32.
fn all(matrix: &DMatrix<f64>) -> Option<Decomposed> {
    let n = matrix.nrows();
    let gram = matrix * matrix.transpose();
    let found = gram.try_symmetric_eigen(f64::EPSILON, STEPS * n)?;
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|a, b| found.eigenvalues[*b].total_cmp(&found.eigenvalues[*a]));
    let u = DMatrix::from_fn(n, n, |i, j| found.eigenvectors[(i, order[j])]);
    let s: Vec<f64> = (order.iter())
        .map(|at| found.eigenvalues[*at].max(0.0).sqrt())
        .collect();
    let mut v = matrix.tr_mul(&u);
    let least = 1e-8 * s.first().copied().unwrap_or(0.0);
    for (mut column, s) in v.column_iter_mut().zip(&s) {
        match *s > least {
            true => column /= *s,
            false => column.fill(0.0),
        }
    }
    Some((u, s, v))
}

/// Those of few of many.
fn sought(matrix: &DMatrix<f64>, rank: usize, rounds: usize) -> Option<Decomposed> {
    let (rows, columns) = matrix.shape();
    let n = (rank + BEYOND).min(rows).min(columns);
    let mut seed = 0u64;
    let random = DMatrix::from_fn(columns, n, |_, _| uniform(&mut seed));
    let mut q = (matrix * random).qr().q();
    for _ in 0..rounds {
        let back = matrix.tr_mul(&q).qr().q();
        q = (matrix * back).qr().q();
    }
    // [n, columns], whose transpose is tall.
    let small = matrix.tr_mul(&q);
    let found = small.try_svd(true, true, f64::EPSILON, STEPS * n)?;
    let (v, u) = (found.u?, q * found.v_t?.transpose());
    Some((u, found.singular_values.iter().copied().collect(), v))
}

/// The next number of a sequence in `[−1, 1)`.
pub(crate) fn uniform(seed: &mut u64) -> f64 {
    (splitmix64(seed) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

/// The next number of a sequence: splitmix64.
pub(crate) fn splitmix64(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Orthogonal columns by which a matrix of these singular values is made.
    fn of_values(rows: usize, columns: usize, s: &[f64]) -> Tensor<2> {
        let mut seed = 7;
        let basis =
            |n: usize, seed: &mut u64| DMatrix::from_fn(n, s.len(), |_, _| uniform(seed)).qr().q();
        let (u, v) = (basis(rows, &mut seed), basis(columns, &mut seed));
        let scaled = DMatrix::from_fn(rows, s.len(), |i, j| u[(i, j)] * s[j]);
        let matrix = (scaled * v.transpose()).transpose(); // its columns are the rows
        let values: Vec<f32> = matrix.iter().map(|x| *x as f32).collect();
        Tensor::from_data(TensorData::new(values, [rows, columns]), &Device::flex())
    }

    fn distance(a: Tensor<2>, b: Tensor<2>) -> f64 {
        let square = (a - b).square().sum().into_scalar::<f32>();
        f64::from(square).sqrt()
    }

    #[test]
    fn a_matrix_of_low_rank_comes_out_as_it_is() {
        for (rows, columns) in [(40, 70), (70, 40), (3, 50), (50, 3)] {
            let s = [9.0, 4.0, 0.5];
            let matrix = of_values(rows, columns, &s);
            let found = LowRank::of(matrix.clone(), Size::Rank(3)).expect("it is finite");
            assert!(found.error < 1e-3, "{}", found.error);
            assert!(distance(found.a.matmul(found.b), matrix) < 1e-4);
            for (found, s) in found.singular_values.iter().zip(s) {
                assert!((found - s).abs() < 1e-5, "{found} {s}");
            }
        }
    }

    /// The best error of a rank is the root of the squares that are left (Eckart and Young 1936).
    #[test]
    fn no_approximation_of_the_rank_is_nearer() {
        let s: Vec<f64> = (1..=60).map(|i| 1.0 / f64::from(i)).collect();
        let matrix = of_values(80, 90, &s);
        let square = |s: &[f64]| s.iter().map(|s| s * s).sum::<f64>();
        for rank in [1, 4, 16, 60] {
            // the first are sought, the others are of all
            let best = square(&s[rank..]).sqrt();
            let found = LowRank::of(matrix.clone(), Size::Rank(rank)).expect("it is finite");
            assert_eq!(found.singular_values.len(), rank);
            let apart = distance(found.a.matmul(found.b), matrix.clone());
            assert!(apart < 1.001 * best + 1e-5, "rank {rank}: {apart} {best}");
            let said = found.error * square(&s).sqrt();
            assert!((said - apart).abs() < 1e-3, "rank {rank}: {said} {apart}");
        }
    }

    #[test]
    fn the_least_rank_of_an_energy_is_taken() {
        let s: Vec<f64> = (0..50).map(|i| 0.9_f64.powi(i)).collect();
        let matrix = of_values(60, 50, &s);
        let all: f64 = s.iter().map(|s| s * s).sum();
        for energy in [0.5, 0.9, 0.999] {
            let mut sum = 0.0;
            let expected = 1
                + (s.iter())
                    .position(|s| {
                        sum += s * s;
                        sum >= energy * all
                    })
                    .expect("all is enough");
            let found = LowRank::of(matrix.clone(), Size::Energy(energy)).expect("it is finite");
            assert_eq!(found.singular_values.len(), expected, "{energy}");
            assert!(found.error <= (1.0 - energy).sqrt() + 1e-6);
        }
    }

    #[test]
    fn zeros_need_nothing_and_nan_is_none() {
        let zeros = Tensor::<2>::zeros([4, 5], &Device::flex());
        let found = LowRank::of(zeros.clone(), Size::Energy(0.9)).expect("it is finite");
        assert_eq!((found.singular_values.len(), found.error), (1, 0.0));
        let found = LowRank::of(zeros.clone(), Size::Rank(2)).expect("it is finite");
        assert_eq!(found.error, 0.0);
        assert!(LowRank::of(zeros.add_scalar(f32::NAN), Size::Rank(2)).is_none());
    }
}
