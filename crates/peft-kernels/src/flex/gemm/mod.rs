//! Products of two matrices in memory.
//!
//! Of two f32 matrices the product is the `gemm` crate's ([`library`]), but for one of few rows
//! ([`of_few_rows`]). That, and one whose right factor is stored in another format, as a frozen
//! weight is, is made here, in the way of *Anatomy of
//! High-Performance Matrix Multiplication*, Goto and van de Geijn 2008: blocks of the factors are
//! packed in the order in which a micro-kernel reads them. Packing alone knows how the elements are
//! stored ([`Lines`]); a micro-kernel knows f32, or pairs of bf16, and no format. So a weight is
//! one copy, read by rows or by columns, for its product and for the product with its transpose.
//!
//! Every sum is one chain along the inner axis, whatever the blocks are: a row has the same bits at
//! any number of threads and in any number of rows.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod bf16;
mod kernel;
mod library;
mod line;
pub(crate) mod measure;
mod pack;
mod packed;
mod portable;
mod product;
mod storage;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod thin;

use burn::tensor::{bf16 as Bf16, f16 as F16};

pub(super) use kernel::THIN_ROWS;
pub(super) use library::{Matrix, products};
pub(super) use packed::packed_product;

use kernel::{Kernel, THIN_COLUMNS};
use line::{Element, LINE};
use pack::Factor;
use product::multiply;
use storage::{Lines, Stored};

/// What a right factor may be stored in beside f32.
pub(super) trait Format: Copy {
    /// `a b` in order, summed in f32; none where neither the rows nor the columns of a factor each
    /// lie in memory without gaps.
    fn product(a: Matrix<'_>, b: Matrix<'_, Self>) -> Option<Vec<f32>>;
}

/// Of `a` rounded to bf16 where the processor multiplies bf16, else of both in f32.
impl Format for Bf16 {
    fn product(a: Matrix<'_>, b: Matrix<'_, Self>) -> Option<Vec<f32>> {
        match Kernel::of_bf16() {
            Some(kernel) => by_kernel::<Self, Self>(kernel, a, b),
            None => by_kernel::<f32, Self>(Kernel::of_f32(), a, b),
        }
    }
}

/// In f32.
impl Format for F16 {
    fn product(a: Matrix<'_>, b: Matrix<'_, Self>) -> Option<Vec<f32>> {
        by_kernel::<f32, Self>(Kernel::of_f32(), a, b)
    }
}

/// `a b` of few rows, as in generation, where this reads the right factor from where it lies; none
/// where [`products`] is as fast.
pub(super) fn of_few_rows(a: Matrix<'_>, b: Matrix<'_>) -> Option<Vec<f32>> {
    let kernel = Kernel::of_f32();
    let (lines, by_columns) = b.lines()?;
    let reads = (kernel.thin)(Stored::F32(lines)).is_some();
    let is_thin = (1..=THIN_ROWS).contains(&a.rows)
        && b.columns >= THIN_COLUMNS
        && (!by_columns || a.columns.is_multiple_of(LINE));
    match reads && is_thin {
        true => by_kernel::<f32, f32>(kernel, a, b),
        false => None,
    }
}

fn by_kernel<'a, E: Element, T>(
    kernel: &Kernel,
    a: Matrix<'a>,
    b: Matrix<'a, T>,
) -> Option<Vec<f32>>
where
    storage::Plain<'a, f32>: Lines<E>,
    storage::Plain<'a, T>: Lines<E>,
{
    let ((left, a_by_columns), (right, b_by_columns)) = (a.lines()?, b.lines()?);
    let left = Factor::<E> {
        lines: &left,
        along_inner: !a_by_columns,
        outer: a.rows,
        inner: a.columns,
    };
    let right = Factor::<E> {
        lines: &right,
        along_inner: b_by_columns,
        outer: b.columns,
        inner: b.rows,
    };
    Some(multiply(kernel, left, right))
}
