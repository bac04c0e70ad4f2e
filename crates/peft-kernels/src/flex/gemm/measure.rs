//! Products and the processor's peak, for `cargo xtask bench product`.
#![allow(unsafe_code)] // Vector instructions.

use std::hint::black_box;
use std::time::Instant;

use burn::tensor::bf16;

use super::kernel::Kernel;
use super::{Format, Matrix, by_kernel, products};

/// What multiplies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// f32 by the `gemm` crate.
    Library,
    /// f32 by this crate's micro-kernels.
    F32,
    /// f32 rows with a weight in bf16.
    Bf16,
}

/// Two factors, the right one in both formats.
#[derive(Debug)]
pub struct Factors {
    dims: [usize; 3],
    rows: Vec<f32>,
    wide: Vec<f32>,
    narrow: Vec<bf16>,
}

impl Factors {
    /// Of `[rows, inner]` and `[inner, columns]`, of values between −1 and 1.
    pub fn new(dims: [usize; 3]) -> Self {
        let [rows, inner, columns] = dims;
        let of = |n: usize, seed: f32| (0..n).map(|i| (seed + i as f32 * 1.7).sin()).collect();
        let wide: Vec<f32> = of(inner * columns, 1.5);
        Self {
            dims,
            rows: of(rows * inner, 0.5),
            narrow: wide.iter().map(|x| bf16::from_f32(*x)).collect(),
            wide,
        }
    }

    /// Multiplications and additions of the product.
    pub fn operations(&self) -> f64 {
        2.0 * self.dims.iter().map(|n| *n as f64).product::<f64>()
    }

    /// The product; `by_columns` reads the right factor as if its columns lay in a row each, as the
    /// gradient of a layer's input and a tied output layer do.
    pub fn multiply(&self, way: Way, by_columns: bool) -> Vec<f32> {
        let [rows, inner, columns] = self.dims;
        let left = matrix(&self.rows, rows, inner, false);
        let right = matrix(&self.wide, inner, columns, by_columns);
        let of_bf16 = matrix(&self.narrow, inner, columns, by_columns);
        match way {
            Way::Library => products(&[(left, right)], 1),
            Way::F32 => by_kernel::<f32, f32>(Kernel::of_f32(), left, right).unwrap_or_default(),
            Way::Bf16 => bf16::product(left, of_bf16).unwrap_or_default(),
        }
    }
}

fn matrix<T>(memory: &[T], rows: usize, columns: usize, by_columns: bool) -> Matrix<'_, T> {
    let (row, column) = if by_columns { (1, rows) } else { (columns, 1) };
    Matrix {
        memory,
        start: 0,
        rows,
        columns,
        row: row as isize,
        column: column as isize,
    }
}

/// What all threads compute a second with the instruction of this way, in registers alone:
/// multiplications and additions. None where it is not measured on this processor.
pub fn peak(way: Way) -> Option<f64> {
    const STEPS: usize = 2_000_000;
    let (run, each) = instruction(way)?;
    let started = Instant::now();
    // SAFETY: `instruction` gives none that the processor lacks.
    black_box(rayon::broadcast(|_| unsafe { run(STEPS) }));
    let operations = rayon::current_num_threads() * STEPS * CHAINS * each;
    Some(operations as f64 / started.elapsed().as_secs_f64())
}

/// Sums that do not wait for each other: more than an instruction takes cycles.
const CHAINS: usize = 16;

/// A loop of steps of all chains, and the operations of one instruction.
type Loop = (unsafe fn(usize) -> f32, usize);

#[cfg(target_arch = "x86_64")]
fn instruction(way: Way) -> Option<Loop> {
    use std::arch::x86_64::{
        _mm256_cvtss_f32, _mm256_fmadd_ps, _mm256_set1_ps, _mm512_castps_si512, _mm512_cvtss_f32,
        _mm512_dpbf16_ps, _mm512_fmadd_ps, _mm512_set1_ps,
    };

    use super::{avx2, avx512, bf16::pairs};

    // Values that the compiler does not know, and that stay finite.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn of_eights(steps: usize) -> f32 {
        let (x, y) = (
            _mm256_set1_ps(black_box(0.5)),
            _mm256_set1_ps(black_box(0.25)),
        );
        let mut sums = [y; CHAINS];
        for _ in 0..steps {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(*sum, x, y);
            }
        }
        sums.map(|sum| _mm256_cvtss_f32(sum)).iter().sum()
    }
    #[target_feature(enable = "avx512f")]
    unsafe fn of_sixteens(steps: usize) -> f32 {
        let (x, y) = (
            _mm512_set1_ps(black_box(0.5)),
            _mm512_set1_ps(black_box(0.25)),
        );
        let mut sums = [y; CHAINS];
        for _ in 0..steps {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(*sum, x, y);
            }
        }
        sums.map(|sum| _mm512_cvtss_f32(sum)).iter().sum()
    }
    #[target_feature(enable = "avx512f,avx512bf16")]
    unsafe fn of_pairs(steps: usize) -> f32 {
        let (x, y) = (
            _mm512_set1_ps(black_box(0.5)),
            _mm512_set1_ps(black_box(0.25)),
        );
        let mut sums = [y; CHAINS];
        let (x, y) = (pairs(_mm512_castps_si512(x)), pairs(_mm512_castps_si512(y)));
        for _ in 0..steps {
            for sum in &mut sums {
                *sum = _mm512_dpbf16_ps(*sum, x, y);
            }
        }
        sums.map(|sum| _mm512_cvtss_f32(sum)).iter().sum()
    }
    match way {
        Way::Bf16 if Kernel::of_bf16().is_some() => Some((of_pairs, 64)),
        _ if avx512::kernel().is_some() => Some((of_sixteens, 32)),
        _ if avx2::kernel().is_some() => Some((of_eights, 16)),
        _ => None,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn instruction(_: Way) -> Option<Loop> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is measured is the product.
    #[test]
    fn all_ways_give_one_product() {
        let factors = Factors::new([7, 64, 40]);
        assert_eq!(factors.operations(), (2 * 7 * 64 * 40) as f64);
        for by_columns in [false, true] {
            let expected = factors.multiply(Way::Library, by_columns);
            for way in [Way::F32, Way::Bf16] {
                let found = factors.multiply(way, by_columns);
                assert_eq!(found.len(), expected.len());
                for (found, expected) in found.iter().zip(&expected) {
                    assert!(
                        (found - expected).abs() < 0.1,
                        "{way:?}: {found}, {expected}"
                    );
                }
            }
        }
    }
}
