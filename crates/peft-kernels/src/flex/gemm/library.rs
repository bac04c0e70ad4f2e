//! Products of two f32 matrices in memory, by the `gemm` crate, which Burn's backend uses too:
//! there each result's memory is set, then copied, by one core.
#![allow(unsafe_code)] // `gemm` takes pointers.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::storage::Plain;
use crate::counted::count;

/// Multiplications below which a product is left to one core, as in Burn's backend.
pub(super) const ONE_CORE: usize = 192 * 192 * 192;

/// A matrix in memory: element `(i, j)` is at `start + i · row + j · column`.
#[derive(Debug, Clone, Copy)]
pub(in crate::flex) struct Matrix<'a, T = f32> {
    pub(in crate::flex) memory: &'a [T],
    pub(in crate::flex) start: usize,
    pub(in crate::flex) rows: usize,
    pub(in crate::flex) columns: usize,
    pub(in crate::flex) row: isize,
    pub(in crate::flex) column: isize,
}

impl<'a, T> Matrix<'a, T> {
    pub(in crate::flex) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row: self.column,
            column: self.row,
            ..self
        }
    }

    /// Its lines, and whether they are its columns; none where neither rows nor columns each lie in
    /// memory without gaps.
    pub(super) fn lines(&self) -> Option<(Plain<'a, T>, bool)> {
        let by_columns = match (self.column, self.row) {
            (1, _) => false,
            (_, 1) => true,
            _ if self.columns <= 1 => false,
            _ if self.rows <= 1 => true,
            _ => return None,
        };
        let (lines, length, stride) = match by_columns {
            true => (self.columns, self.rows, self.column),
            false => (self.rows, self.columns, self.row),
        };
        // A stride back leaves the memory, unless there is but one line.
        let stride = usize::try_from(stride).unwrap_or(usize::MAX);
        let stride = if lines > 1 { stride } else { 0 };
        let plain = Plain::new(self.memory, self.start, stride, lines, length);
        Some((plain, by_columns))
    }

    /// Whether all elements are in memory.
    fn is_inside(&self) -> bool {
        let reach = |n: usize, stride: isize| (n as isize - 1).checked_mul(stride);
        let farthest = || {
            let last =
                reach(self.rows, self.row)?.checked_add(reach(self.columns, self.column)?)?;
            (self.start as isize).checked_add(last)
        };
        let is_empty = self.rows == 0 || self.columns == 0;
        is_empty
            || self.row >= 0
                && self.column >= 0
                && farthest().is_some_and(|last| (last as usize) < self.memory.len())
    }
}

/// `out = a b`, `[a.rows, b.columns]`, each row `stride` after the one before; all of its elements
/// are written, and none is read.
fn multiply(
    out: &mut [MaybeUninit<f32>],
    stride: usize,
    a: Matrix<'_>,
    b: Matrix<'_>,
    cores: ::gemm::Parallelism,
) {
    assert_eq!(
        a.columns, b.rows,
        "the inner dimensions of a product differ"
    );
    if a.rows == 0 || b.columns == 0 {
        return;
    }
    let reach = stride
        .checked_mul(a.rows - 1)
        .and_then(|last| last.checked_add(b.columns));
    assert!(
        stride >= b.columns && reach.is_some_and(|reach| reach <= out.len()),
        "a product leaves its memory"
    );
    assert!(a.is_inside() && b.is_inside(), "a matrix leaves its memory");
    if a.columns == 0 {
        // Sums of nothing.
        for row in out.chunks_mut(stride) {
            row[..b.columns].fill(MaybeUninit::new(0.0));
        }
        return;
    }
    // SAFETY: `out` is exclusive and holds `a.rows` rows of `b.columns` elements with the strides
    // given for it, as asserted; none is read. Of `a` and `b` only elements `(i, j)` below their
    // rows and columns are read, all of which lie in `memory` by `is_inside`: strides are not
    // negative, so none lies before `start` or after the last.
    unsafe {
        ::gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            out.as_mut_ptr().cast::<f32>(),
            1,
            stride as isize,
            false,
            a.memory.as_ptr().add(a.start),
            a.column,
            a.row,
            b.memory.as_ptr().add(b.start),
            b.column,
            b.row,
            0.0,
            1.0,
            false,
            false,
            false,
            cores,
        );
    }
}

/// How many cores one product of this size is for.
fn cores(rows: usize, columns: usize, inner: usize) -> ::gemm::Parallelism {
    let work = rows.saturating_mul(columns).saturating_mul(inner);
    if work < ONE_CORE {
        ::gemm::Parallelism::None
    } else {
        ::gemm::Parallelism::Rayon(0)
    }
}

/// The products of pairs of matrices, all of one size; one for all cores, many for one each.
///
/// They lie one after the other, or, `woven` of them at a time, a row of each after the other: as
/// `[.., rows, woven, columns]`.
pub(in crate::flex) fn products(pairs: &[(Matrix<'_>, Matrix<'_>)], woven: usize) -> Vec<f32> {
    let Some((a, b)) = pairs.first() else {
        return Vec::new();
    };
    assert!(
        woven > 0 && pairs.len().is_multiple_of(woven),
        "matrices woven by other numbers than there are"
    );
    let (rows, columns, inner) = (a.rows, b.columns, a.columns);
    let same = |(a, b): &(Matrix<'_>, Matrix<'_>)| a.rows == rows && b.columns == columns;
    assert!(pairs.iter().all(same), "products of different sizes");
    let n = pairs.len() * rows * columns;
    if n == 0 {
        return Vec::new();
    }
    count(n * inner);
    let mut out = Vec::with_capacity(n); // not set first, which would be a pass of one core
    let memory = &mut out.spare_capacity_mut()[..n];
    let cores = match pairs {
        [_] => cores(rows, columns, inner),
        _ => ::gemm::Parallelism::None,
    };
    let some = |(out, pairs): (&mut [MaybeUninit<f32>], &[(Matrix<'_>, Matrix<'_>)])| {
        for (i, (a, b)) in pairs.iter().enumerate() {
            multiply(&mut out[i * columns..], woven * columns, *a, *b, cores);
        }
    };
    let each = woven * rows * columns;
    if pairs.len() == woven || n * inner < ONE_CORE {
        memory
            .chunks_mut(each)
            .zip(pairs.chunks(woven))
            .for_each(some);
    } else {
        memory
            .par_chunks_mut(each)
            .zip(pairs.par_chunks(woven))
            .for_each(some);
    }
    // SAFETY: the capacity is at least `n`. The chunks are all `n` elements, `woven` pairs for
    // each. Of a chunk, `[rows, woven, columns]`, product `i` has written all elements `(row, i,
    // column)`, as `multiply` says, so all are written.
    unsafe { out.set_len(n) };
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Beside sums of products, of sizes around the kernels' own, in order and turned.
    #[test]
    fn a_product_is_its_sums() {
        let numbers =
            |n: usize, seed: f32| -> Vec<f32> { (0..n).map(|i| (seed + i as f32).sin()).collect() };
        for (m, k, n) in [
            (1, 1, 1),
            (3, 5, 2),
            (17, 33, 65),
            (64, 1, 31),
            (0, 4, 3),
            (4, 0, 3),
            (4, 3, 0),
            (200, 190, 210),
        ] {
            let (lhs, rhs) = (numbers(m * k + 7, 0.5), numbers(k * n, 1.5));
            let whole = |memory, start, rows, columns| Matrix {
                memory,
                start,
                rows,
                columns,
                row: columns as isize,
                column: 1,
            };
            let a = whole(lhs.as_slice(), 7, m, k);
            let b = whole(rhs.as_slice(), 0, n, k).transposed();
            // Apart by two elements that are no product's.
            let stride = n + 2;
            let mut out = vec![MaybeUninit::new(f32::NAN); m * stride];
            multiply(&mut out, stride, a, b, cores(m, n, k));
            for (i, out) in out.into_iter().enumerate() {
                let (row, column) = (i / stride, i % stride);
                // SAFETY: it was initialised above.
                let found = unsafe { out.assume_init() };
                if column >= n {
                    assert!(found.is_nan(), "{m} {k} {n} at {i} was written");
                    continue;
                }
                let sum: f64 = (0..k)
                    .map(|l| f64::from(lhs[7 + row * k + l]) * f64::from(rhs[column * k + l]))
                    .sum();
                assert!(
                    (f64::from(found) - sum).abs() < 1e-4,
                    "{m} {k} {n} at {i}: {found}, expected {sum}"
                );
            }
        }
    }

    #[test]
    fn woven_products_are_those_one_after_the_other() {
        let (m, k, n, woven, groups) = (5, 3, 4, 3, 2);
        let numbers: Vec<f32> = (0..7 * m * k * n).map(|i| (i as f32).sin()).collect();
        let of = |start, rows, columns| Matrix {
            memory: &numbers,
            start,
            rows,
            columns,
            row: columns as isize,
            column: 1,
        };
        let pairs: Vec<_> = (0..woven * groups)
            .map(|i| (of(i * m * k, m, k), of(7 + i * k * n, k, n)))
            .collect();
        let (apart, found) = (products(&pairs, 1), products(&pairs, woven));
        for (i, found) in found.iter().enumerate() {
            let (rest, column) = (i / n, i % n);
            let (rest, member) = (rest / woven, rest % woven);
            let (group, row) = (rest / m, rest % m);
            let pair = group * woven + member;
            assert_eq!(*found, apart[(pair * m + row) * n + column]);
        }
    }

    #[test]
    #[should_panic(expected = "leaves its memory")]
    fn a_product_that_leaves_its_memory_is_refused() {
        let memory = [0.0; 6];
        let a = Matrix {
            memory: &memory,
            start: 0,
            rows: 2,
            columns: 3,
            row: 3,
            column: 1,
        };
        let mut out = [MaybeUninit::new(0.0); 4];
        multiply(&mut out, 3, a, a.transposed(), ::gemm::Parallelism::None);
    }

    #[test]
    #[should_panic(expected = "leaves its memory")]
    fn a_matrix_that_leaves_its_memory_is_refused() {
        let memory = [0.0; 6];
        let outside = Matrix {
            memory: &memory,
            start: 1,
            rows: 2,
            columns: 3,
            row: 3,
            column: 1,
        };
        let mut out = [MaybeUninit::new(0.0); 4];
        let b = Matrix {
            start: 0,
            ..outside
        }
        .transposed();
        multiply(&mut out, 2, outside, b, ::gemm::Parallelism::None);
    }

    #[test]
    fn a_matrix_is_inside_its_memory_or_not() {
        let memory = [0.0; 6];
        let matrix = |start, rows, columns, row, column| Matrix {
            memory: &memory,
            start,
            rows,
            columns,
            row,
            column,
        };
        assert!(matrix(0, 2, 3, 3, 1).is_inside());
        assert!(matrix(0, 3, 2, 1, 3).is_inside());
        assert!(matrix(5, 4, 1, 0, 1).is_inside());
        assert!(matrix(9, 0, 3, 3, 1).is_inside());
        assert!(!matrix(1, 2, 3, 3, 1).is_inside());
        assert!(!matrix(0, 3, 3, 3, 1).is_inside());
        assert!(!matrix(3, 2, 3, -3, 1).is_inside());
        assert!(!matrix(0, 2, 3, isize::MAX, 1).is_inside());
    }
}
