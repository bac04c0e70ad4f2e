//! Small products of matrices that lie in the nearest caches, row by row.

use crate::flex::simd::Arithmetic;

/// Numbers in a vector.
pub(super) const LANES: usize = 16;

/// Rows of a strip: as many as fit in registers beside four vectors of columns.
pub(super) const STRIP: usize = 6;

/// `c = c + a b`: `a` is `[M, k]` by elements, `b` `[k, n]`, rows `ldb` long, `c` `[M, n]`, rows
/// `ldc` long; `n` is a whole number of vectors.
#[inline(always)]
fn strip<A: Arithmetic, L: Left<M>, const M: usize>(
    c: &mut [f32],
    ldc: usize,
    a: L,
    b: &[f32],
    ldb: usize,
    n: usize,
) {
    let mut at = 0;
    while at + 4 * LANES <= n {
        tile::<A, L, M, 4>(&mut c[at..], ldc, a, &b[at..], ldb);
        at += 4 * LANES;
    }
    while at + LANES <= n {
        tile::<A, L, M, 1>(&mut c[at..], ldc, a, &b[at..], ldb);
        at += LANES;
    }
}

/// The first factor of a strip's product.
pub(super) trait Left<const M: usize>: Copy {
    /// How many columns it has.
    fn columns(&self) -> usize;

    /// One of them.
    fn column(&self, p: usize) -> [f32; M];
}

/// A matrix by its rows, all of one length.
#[derive(Clone, Copy)]
pub(super) struct ByRow<'a, const M: usize>(pub(super) [&'a [f32]; M]);

/// A matrix column by column: its memory from the first element of the first column, how far apart
/// columns are, how many they are.
#[derive(Clone, Copy)]
pub(super) struct ByColumn<'a>(pub(super) &'a [f32], pub(super) usize, pub(super) usize);

impl<const M: usize> Left<M> for ByRow<'_, M> {
    #[inline(always)]
    fn columns(&self) -> usize {
        self.0[0].len()
    }

    #[inline(always)]
    fn column(&self, p: usize) -> [f32; M] {
        let mut out = [0.0; M];
        for (out, row) in out.iter_mut().zip(self.0) {
            *out = row[p];
        }
        out
    }
}

impl<const M: usize> Left<M> for ByColumn<'_> {
    #[inline(always)]
    fn columns(&self) -> usize {
        self.2
    }

    #[inline(always)]
    fn column(&self, p: usize) -> [f32; M] {
        let column = &self.0[p * self.1..][..M];
        let mut out = [0.0; M];
        out.copy_from_slice(column);
        out
    }
}

#[inline(always)]
fn tile<A: Arithmetic, L: Left<M>, const M: usize, const V: usize>(
    c: &mut [f32],
    ldc: usize,
    a: L,
    b: &[f32],
    ldb: usize,
) {
    let mut sums = [[[0.0f32; LANES]; V]; M];
    for (i, sums) in sums.iter_mut().enumerate() {
        for (v, sums) in sums.iter_mut().enumerate() {
            sums.copy_from_slice(&c[i * ldc + v * LANES..][..LANES]);
        }
    }
    for p in 0..a.columns() {
        let column = a.column(p);
        let b: &[[f32; LANES]; V] = b[p * ldb..][..V * LANES]
            .as_chunks::<LANES>()
            .0
            .try_into()
            .unwrap();
        macro_rules! row {
            ($($i:literal)*) => { $(
                if $i < M {
                    for v in 0..V {
                        for l in 0..LANES {
                            sums[$i][v][l] = A::multiply_add(column[$i], b[v][l], sums[$i][v][l]);
                        }
                    }
                }
            )* };
        }
        row!(0 1 2 3 4 5);
    }
    for (i, sums) in sums.iter().enumerate() {
        for (v, sums) in sums.iter().enumerate() {
            c[i * ldc + v * LANES..][..LANES].copy_from_slice(sums);
        }
    }
}

/// `c = c + a b`: `a` is `[rows, k]`, its rows `lda` long.
#[inline(always)]
pub(super) fn add_product<A: Arithmetic>(
    (c, ldc): (&mut [f32], usize),
    (a, lda): (&[f32], usize),
    (b, ldb): (&[f32], usize),
    rows: usize,
    k: usize,
    n: usize,
) {
    macro_rules! some {
        ($at:expr, $m:literal) => {{
            let rows: [&[f32]; $m] = std::array::from_fn(|i| &a[($at + i) * lda..][..k]);
            strip::<A, _, $m>(&mut c[$at * ldc..], ldc, ByRow(rows), b, ldb, n);
        }};
    }
    // Of few sizes, each of which is compiled for every caller and processor.
    let mut at = 0;
    while at + STRIP <= rows {
        some!(at, 6);
        at += STRIP;
    }
    while at + 4 <= rows {
        some!(at, 4);
        at += 4;
    }
    while at < rows {
        some!(at, 1);
        at += 1;
    }
}

/// `c = c + aᵀ b`: `a` is `[k, rows]`, its rows `lda` long.
#[inline(always)]
pub(super) fn add_transposed<A: Arithmetic>(
    (c, ldc): (&mut [f32], usize),
    (a, lda): (&[f32], usize),
    (b, ldb): (&[f32], usize),
    rows: usize,
    k: usize,
    n: usize,
) {
    macro_rules! some {
        ($at:expr, $m:literal) => {
            strip::<A, _, $m>(
                &mut c[$at * ldc..],
                ldc,
                ByColumn(&a[$at..], lda, k),
                b,
                ldb,
                n,
            )
        };
    }
    // Of few sizes, each of which is compiled for every caller and processor.
    let mut at = 0;
    while at + STRIP <= rows {
        some!(at, 6);
        at += STRIP;
    }
    while at + 4 <= rows {
        some!(at, 4);
        at += 4;
    }
    while at < rows {
        some!(at, 1);
        at += 1;
    }
}
