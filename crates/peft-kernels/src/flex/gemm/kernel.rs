//! [`Kernel`]: what one instruction set does with packed factors.
#![allow(unsafe_code)] // Micro-kernels take pointers.

use super::line::{LINE, Line};
use super::portable;
use super::storage::{Plain, Stored};

/// A tile of a product.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tile {
    /// For each 16 units along the inner axis, a line of each row.
    pub(super) a: *const Line,
    /// For each unit along the inner axis, one of each column of a panel.
    pub(super) b: *const Line,
    /// Along the inner axis.
    pub(super) units: usize,
    pub(super) out: *mut f32,
    /// From a row of the output to the next.
    pub(super) stride: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Whether sums go on from what the output holds, which else is not read.
    pub(super) go_on: bool,
}

/// All of a product of a few rows with columns that are read from where they lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Thin {
    /// For each 16 units along the inner axis, a line of each row, and of as many rows of zeros as
    /// make them [`padded`].
    pub(super) a: *const Line,
    /// Along the inner axis.
    pub(super) units: usize,
    /// The first element of the first column.
    pub(super) b: *const u8,
    /// Bytes from a line to the next.
    pub(super) pitch: usize,
    /// Whether each line is a column; then `units` are a multiple of 16.
    pub(super) along_inner: bool,
    pub(super) out: *mut f32,
    /// From a row of the output to the next.
    pub(super) stride: usize,
    pub(super) rows: usize,
    /// A multiple of [`THIN_COLUMNS`].
    pub(super) columns: usize,
}

/// Computes it.
pub(super) type RunThin = unsafe fn(Thin);

/// Rows of a [`Thin`] product, at most.
pub(in crate::flex) const THIN_ROWS: usize = 8;
/// What rows are filled up to, so that there is code for few numbers of them.
pub(super) fn padded(rows: usize) -> usize {
    rows.next_power_of_two()
}
/// What its columns are a multiple of.
pub(super) const THIN_COLUMNS: usize = 32;

/// The micro-kernels of an instruction set. There is none of a set that the processor lacks.
#[derive(Debug)]
pub(super) struct Kernel {
    #[cfg(test)]
    pub(super) name: &'static str,
    /// Rows of a tile, at most.
    pub(super) rows: usize,
    /// Columns of a panel, one or two lines.
    pub(super) columns: usize,
    /// Elements of a unit.
    pub(super) of_unit: usize,
    /// Sums of a tile, written or gone on with.
    pub(super) tile: unsafe fn(Tile),
    /// Unit `j` of 16 at place `i` of 16, so many bytes apart, to unit `i` of line `j`; the lines
    /// are `step` apart.
    pub(super) transpose: unsafe fn(*const u8, usize, *mut Line, usize),
    /// The units of a panel's columns, of a row of elements, or of two.
    pub(super) across: unsafe fn([*const u8; 2], *mut Line),
    /// That of a product of few rows, of a factor that is stored so.
    pub(super) thin: fn(Stored<'_>) -> Option<RunThin>,
}

impl Kernel {
    /// The fastest of f32 on this processor.
    pub(super) fn of_f32() -> &'static Self {
        #[cfg(target_arch = "x86_64")]
        {
            use super::{avx2, avx512};
            if let Some(kernel) = avx512::kernel().or_else(avx2::kernel) {
                return kernel;
            }
        }
        &portable::KERNEL
    }

    /// That of bf16, if the processor multiplies them.
    pub(super) fn of_bf16() -> Option<&'static Self> {
        #[cfg(target_arch = "x86_64")]
        return super::bf16::kernel();
        #[cfg(not(target_arch = "x86_64"))]
        None
    }

    /// Lines to columns: unit `j` of line `i` to unit `i` of line `j · step`.
    pub(super) fn transpose(&self, from: &[Line; LINE], to: &mut [Line], step: usize) {
        assert!((LINE - 1) * step < to.len(), "lines leave their memory");
        // SAFETY: 16 units at each of 16 places, a line apart, are those of `from`; 16 lines `step`
        // apart are in `to`. The processor has the instructions, since there is this kernel.
        unsafe {
            (self.transpose)(
                from.as_ptr().cast(),
                size_of::<Line>(),
                to.as_mut_ptr(),
                step,
            );
        }
    }

    /// As [`Kernel::transpose`], of 16 lines of elements where they lie, 16 units of each.
    pub(super) fn transpose_plain<E>(
        &self,
        from: Plain<'_, E>,
        [line, element]: [usize; 2],
        to: &mut [Line],
        step: usize,
    ) {
        let (first, last) = (from.place(line, element), from.place(line + 15, element));
        assert!(
            last + LINE * self.of_unit <= from.memory().len() && (LINE - 1) * step < to.len(),
            "lines leave their memory"
        );
        assert_eq!(size_of::<E>() * self.of_unit, 4, "elements of another unit");
        // SAFETY: 16 units at each of 16 places, a stride apart, lie in `memory` by the assertion:
        // strides are not negative, so the last place is the farthest. 16 lines `step` apart are in
        // `to`. The processor has the instructions, since there is this kernel.
        unsafe {
            (self.transpose)(
                from.memory().as_ptr().add(first).cast(),
                from.stride() * size_of::<E>(),
                to.as_mut_ptr(),
                step,
            );
        }
    }

    /// The units of a panel's columns, of elements where they lie: from `element` on of a line, or
    /// of two that follow each other.
    pub(super) fn across_plain<E>(
        &self,
        from: Plain<'_, E>,
        [line, element]: [usize; 2],
        to: &mut [Line],
    ) {
        let first = from.place(line, element);
        let last = from.place(line + self.of_unit - 1, element);
        assert!(
            last + self.columns <= from.memory().len() && self.columns <= to.len() * LINE,
            "lines leave their memory"
        );
        assert_eq!(size_of::<E>() * self.of_unit, 4, "elements of another unit");
        let memory = from.memory().as_ptr();
        // SAFETY: a panel's columns of elements lie in `memory` from either place on, and as many
        // units in `to`, by the assertions. The processor has the instructions, since there is this
        // kernel.
        unsafe {
            let places = [memory.add(first).cast(), memory.add(last).cast()];
            (self.across)(places, to.as_mut_ptr());
        }
    }
}
