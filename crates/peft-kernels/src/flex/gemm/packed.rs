//! A packed weight as a factor: its blocks are unpacked as they are put in a micro-kernel's order.

use burn::tensor::{DType, bf16, f16};

use super::kernel::Kernel;
use super::line::Element;
use super::pack::Factor;
use super::product::multiply;
use super::storage::{Lines, Plain, rounded};
use super::{Bf16, Matrix};
use crate::flex::packed::PackedView;
use crate::flex::rows::vectorised;
use crate::packed::{Blocks, WithBlocks, read, with_blocks};

/// The columns of a packed weight, one after the other.
struct Columns<B> {
    blocks: B,
    /// Elements of a column.
    length: usize,
    /// What an element is rounded to.
    dtype: DType,
}

impl<B: Blocks> Lines<f32> for Columns<B> {
    fn read(&self, line: usize, start: usize, out: &mut [f32]) {
        vectorised(|| {
            read(&self.blocks, line * self.length + start, out);
            round(self.dtype, out);
        });
    }
}

impl<B: Blocks> Lines<bf16> for Columns<B> {
    fn read(&self, line: usize, start: usize, out: &mut [bf16]) {
        const RUN: usize = 256;
        let mut wide = [0.0; RUN];
        let first = line * self.length + start;
        for (i, out) in out.chunks_mut(RUN).enumerate() {
            let wide = &mut wide[..out.len()];
            vectorised(|| {
                read(&self.blocks, first + i * RUN, wide);
                for (out, x) in out.iter_mut().zip(wide) {
                    *out = rounded(*x);
                }
            });
        }
    }
}

/// To the nearest of `dtype`, in f32.
#[inline(always)]
pub(super) fn round(dtype: DType, out: &mut [f32]) {
    match dtype {
        DType::BF16 => {
            for x in out {
                *x = f32::from_bits(u32::from(rounded(*x).to_bits()) << 16);
            }
        }
        DType::F16 => {
            for x in out {
                *x = f16::from_f32(*x).to_f32();
            }
        }
        _ => {}
    }
}

/// `a W`, or `a Wᵀ`, summed in f32; in bf16 where that is the type of the dense value and the
/// processor multiplies it. None where neither rows nor columns of `a` each lie without gaps.
pub(in crate::flex) fn packed_product(
    a: Matrix<'_>,
    weight: &PackedView<'_>,
    transposed: bool,
) -> Option<Vec<f32>> {
    let lines = a.lines()?;
    let product = Product {
        a: lines,
        rows: a.rows,
        dims: weight.dims,
        dtype: weight.dtype,
        transposed,
    };
    Some(with_blocks(weight.format, weight.bytes, product))
}

struct Product<'a> {
    a: (Plain<'a, f32>, bool),
    rows: usize,
    dims: [usize; 2],
    dtype: DType,
    transposed: bool,
}

impl WithBlocks for Product<'_> {
    type Output = Vec<f32>;

    fn run<B: Blocks>(self, blocks: B) -> Vec<f32> {
        let columns = Columns {
            blocks,
            length: self.dims[0],
            dtype: self.dtype,
        };
        match Kernel::of_bf16().filter(|_| self.dtype == DType::BF16) {
            Some(kernel) => self.by_kernel::<Bf16>(kernel, &columns),
            None => self.by_kernel::<f32>(Kernel::of_f32(), &columns),
        }
    }
}

impl<'a> Product<'a> {
    fn by_kernel<E: Element>(&self, kernel: &Kernel, columns: &dyn Lines<E>) -> Vec<f32>
    where
        Plain<'a, f32>: Lines<E>,
    {
        let (rows, by_columns) = &self.a;
        let [d_in, d_out] = self.dims;
        let (outer, inner) = match self.transposed {
            true => (d_in, d_out),
            false => (d_out, d_in),
        };
        let left = Factor::<E> {
            lines: rows,
            along_inner: !by_columns,
            outer: self.rows,
            inner,
        };
        let right = Factor::<E> {
            lines: columns,
            along_inner: !self.transposed,
            outer,
            inner,
        };
        multiply(kernel, left, right)
    }
}
