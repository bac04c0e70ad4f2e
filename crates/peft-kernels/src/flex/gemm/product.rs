//! The product: blocks of packed columns, each beside all packed rows.
#![allow(unsafe_code)] // Tiles of one output are written by several threads.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::ops::Range;

use rayon::prelude::*;

use super::kernel::{Kernel, THIN_COLUMNS, THIN_ROWS, Thin, Tile, padded};
use super::library::ONE_CORE;
use super::line::{Element, LINE, Line};
use super::pack::Factor;
use super::storage::{Plain, Stored};
use crate::counted::count;

/// Units along the inner axis of a packed block: its panels stay in the cache.
const UNITS: usize = 768;
/// Bytes of a packed block of columns, beside which all rows pass: half of a usual second cache.
const BLOCK: usize = 1 << 19;
/// Bytes that one core reads sooner than others would begin to.
const ONE_CORE_BYTES: usize = 1 << 18;
/// Blocks that each thread takes at least, one after the other, so that all end at about one time.
const TURNS: usize = 4;

thread_local! {
    /// The rows that this thread has packed, kept for the next product: memory that is new costs
    /// as much as packing.
    static ROWS: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
    /// The block of columns that this thread has packed, kept for the next one.
    static BLOCKS: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
    /// The columns that this thread has unpacked for a product of few rows.
    static UNPACKED: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// Where tiles of a product go.
struct Output {
    start: *mut f32,
    rows: usize,
    columns: usize,
}

// SAFETY: the pointer is used through `at`, by tasks that write to tiles of their own.
unsafe impl Sync for Output {}

impl Output {
    /// The place of a tile.
    fn at(&self, row: usize, column: usize, rows: usize, columns: usize) -> *mut f32 {
        assert!(
            row + rows <= self.rows && column + columns <= self.columns,
            "a tile leaves its product"
        );
        // It is inside of the product's memory, or nothing is.
        self.start.wrapping_add(row * self.columns + column)
    }
}

/// `a b`, row by row.
///
/// # Panics
///
/// If the inner dimensions differ, or the kernel multiplies other elements.
pub(super) fn multiply<E: Element>(
    kernel: &Kernel,
    a: Factor<'_, E>,
    b: Factor<'_, E>,
) -> Vec<f32> {
    assert_eq!(a.inner, b.inner, "the inner dimensions of a product differ");
    assert_eq!(kernel.of_unit, E::OF_UNIT, "a kernel of other elements");
    let (rows, columns) = (a.outer, b.outer);
    let n = rows * columns;
    if n == 0 || a.inner == 0 {
        return vec![0.0; n];
    }
    count(n * a.inner);
    let mut out = Vec::with_capacity(n); // not set first, which would be a pass of one core
    let output = Output {
        start: out.spare_capacity_mut()[..n].as_mut_ptr().cast(),
        rows,
        columns,
    };
    let mut memory = ROWS.take();
    let packed = pack(kernel, &a, &mut memory);
    let done = thin(kernel, packed, &a, &b, &output);
    tiles(kernel, packed, &b, &output, done..columns);
    ROWS.set(memory);
    // SAFETY: the capacity is at least `n`. The columns before `done` are written by `thin`, the
    // others by `tiles`, as they say, in every row.
    unsafe { out.set_len(n) };
    out
}

/// All rows, packed panel by panel: no line of what is returned is left as it was.
fn pack<'m, E: Element>(
    kernel: &Kernel,
    a: &Factor<'_, E>,
    memory: &'m mut Vec<Line>,
) -> &'m [Line] {
    let chunks = a.units().div_ceil(LINE);
    let lines = a.outer * chunks;
    if memory.len() < lines {
        memory.resize(lines, Line::ZERO);
    }
    let packed = &mut memory[..lines];
    let of_panel = kernel.rows * chunks;
    let one = |(i, out): (usize, &mut [Line])| {
        let first = i * kernel.rows;
        a.pack_rows(kernel, first..a.outer.min(first + kernel.rows), out);
    };
    if size_of_val(packed) < ONE_CORE_BYTES {
        packed.chunks_mut(of_panel).enumerate().for_each(one);
    } else {
        packed.par_chunks_mut(of_panel).enumerate().for_each(one);
    }
    packed
}

/// Of few rows, the columns that are read from where they lie, or from where a panel of them is
/// unpacked: as many, from the first one on, as are returned. All of them are written.
fn thin<E: Element>(
    kernel: &Kernel,
    packed: &[Line],
    a: &Factor<'_, E>,
    b: &Factor<'_, E>,
    output: &Output,
) -> usize {
    let whole = if b.along_inner {
        LINE * E::OF_UNIT
    } else {
        E::OF_UNIT
    };
    let lying = b.lines.stored();
    // What is unpacked lies as it is multiplied.
    let unpacked = || E::stored(Plain::new(&[], 0, 0, 0, 0));
    let of = match b.along_inner {
        true => lying.unwrap_or_else(unpacked),
        false => match lying {
            Some(lying) => lying,
            None => return 0,
        },
    };
    let Some(run) = (kernel.thin)(of) else {
        return 0;
    };
    if a.outer > THIN_ROWS || !a.inner.is_multiple_of(whole) {
        return 0;
    }
    let filled = filled(packed, a.outer);
    let panels = b.outer / THIN_COLUMNS;
    let bytes = b.outer * b.inner * of.size();
    let tasks = match bytes < ONE_CORE_BYTES {
        true => 1,
        false => rayon::current_num_threads(),
    };
    let each = panels.div_ceil(tasks).max(1);
    // The output's columns from those that lie from `first` on.
    let go = |stored: Stored<'_>, first: usize, columns: Range<usize>| {
        let last = first + columns.len();
        let from = match b.along_inner {
            true => stored.address([first, 0], [last - 1, b.inner]),
            false => stored.address([0, first], [b.inner - 1, last]),
        };
        let task = Thin {
            a: filled.as_ptr(),
            units: a.units(),
            b: from,
            pitch: stored.pitch(),
            along_inner: b.along_inner,
            out: output.at(0, columns.start, a.outer, columns.len()),
            stride: output.columns,
            rows: a.outer,
            columns: columns.len(),
        };
        // SAFETY: `filled` has a line of each row, as many as are padded, for each 16 units:
        // `packed` is of one panel, since there are no more rows than that has. The lines of these
        // columns, or these columns of all lines, are in memory as `address` has asserted: strides
        // are not negative, so the last one ends farthest. The output's columns are this task's.
        // The processor has the instructions, since there is this kernel.
        unsafe { run(task) };
    };
    let one = |first: usize| {
        let columns = first * THIN_COLUMNS..panels.min(first + each) * THIN_COLUMNS;
        if let Some(lying) = lying {
            return go(lying, columns.start, columns);
        }
        UNPACKED.with_borrow_mut(|memory| {
            let of_line = b.inner / (LINE * E::OF_UNIT);
            memory.resize(THIN_COLUMNS * of_line, Line::ZERO);
            for panel in columns.step_by(THIN_COLUMNS) {
                let elements = E::of(memory);
                for (i, line) in elements.chunks_exact_mut(b.inner).enumerate() {
                    b.lines.read(panel + i, 0, line);
                }
                let plain = Plain::new(elements, 0, b.inner, THIN_COLUMNS, b.inner);
                go(E::stored(plain), 0, panel..panel + THIN_COLUMNS);
            }
        });
    };
    if tasks == 1 {
        (0..panels).step_by(each).for_each(one);
    } else {
        (0..panels).into_par_iter().step_by(each).for_each(one);
    }
    panels * THIN_COLUMNS
}

/// Packed rows of one panel, filled up with rows of zeros as products of few rows take them.
fn filled(packed: &[Line], rows: usize) -> Cow<'_, [Line]> {
    let padded = padded(rows);
    if padded == rows {
        return Cow::Borrowed(packed);
    }
    let zeros = std::iter::repeat_n(Line::ZERO, padded - rows);
    let chunks = packed.chunks_exact(rows);
    Cow::Owned(
        chunks
            .flat_map(|rows| rows.iter().copied().chain(zeros.clone()))
            .collect(),
    )
}

/// How a product is shared: blocks of columns, each by all rows or, where there are few columns, by
/// parts of them.
struct Shares {
    /// Panels of columns of each block.
    panels: usize,
    /// Panels of rows of each part.
    rows: usize,
    blocks: usize,
    parts: usize,
}

impl Shares {
    fn of(kernel: &Kernel, rows: usize, columns: usize, units: usize, tasks: usize) -> Self {
        let of_panel = units.min(UNITS) * kernel.columns * size_of::<u32>();
        let fits = (BLOCK / of_panel).max(1);
        let panels = columns.div_ceil(kernel.columns);
        let each = panels.div_ceil(tasks).clamp(1, fits);
        let blocks = panels.div_ceil(each);
        let row_panels = rows.div_ceil(kernel.rows);
        // Each part packs its block again, so it has to have some rows.
        let parts = match tasks / TURNS * 2 <= blocks {
            true => 1,
            false => tasks.div_ceil(blocks).min(row_panels / 8).max(1),
        };
        Self {
            panels: each,
            rows: row_panels.div_ceil(parts),
            blocks,
            parts,
        }
    }
}

/// All rows by these columns, which are all written.
fn tiles<E: Element>(
    kernel: &Kernel,
    packed: &[Line],
    b: &Factor<'_, E>,
    output: &Output,
    columns: Range<usize>,
) {
    if columns.is_empty() {
        return;
    }
    let (rows, units) = (output.rows, b.units());
    let alone = rows.saturating_mul(columns.len()).saturating_mul(b.inner) < ONE_CORE;
    let tasks = if alone {
        1
    } else {
        TURNS * rayon::current_num_threads()
    };
    let shares = Shares::of(kernel, rows, columns.len(), units, tasks);
    let task = |task: usize| {
        let (block, part) = (task / shares.parts, task % shares.parts);
        let start = columns.start + block * shares.panels * kernel.columns;
        let end = columns.end.min(start + shares.panels * kernel.columns);
        let first = part * shares.rows * kernel.rows;
        let last = rows.min(first + shares.rows * kernel.rows);
        BLOCKS.with_borrow_mut(|memory| {
            for first_unit in (0..units).step_by(UNITS) {
                let units = first_unit..units.min(first_unit + UNITS);
                let of_panel = units.len() * kernel.columns / LINE;
                let block = (end - start).div_ceil(kernel.columns) * of_panel;
                if memory.len() < block {
                    memory.resize(block, Line::ZERO);
                }
                let block = &mut memory[..block];
                b.pack_columns(kernel, start..end, units.clone(), block);
                for row in (first..last).step_by(kernel.rows) {
                    let panels = block.chunks_exact(of_panel);
                    for (column, panel) in (start..end).step_by(kernel.columns).zip(panels) {
                        let columns = kernel.columns.min(end - column);
                        tile(
                            kernel,
                            packed,
                            panel,
                            output,
                            [row, column, columns],
                            &units,
                        );
                    }
                }
            }
        });
    };
    if alone {
        (0..shares.blocks * shares.parts).for_each(task);
    } else {
        (0..shares.blocks * shares.parts)
            .into_par_iter()
            .for_each(task);
    }
}

/// One tile, which only this call writes now.
fn tile(
    kernel: &Kernel,
    packed: &[Line],
    panel: &[Line],
    output: &Output,
    [row, column, columns]: [usize; 3],
    units: &Range<usize>,
) {
    let rows = kernel.rows.min(output.rows - row);
    let chunks = packed.len() / output.rows;
    let a = &packed[row * chunks + units.start / LINE * rows..];
    assert!(
        units.len().div_ceil(LINE) * rows <= a.len()
            && units.len() * kernel.columns <= panel.len() * LINE
            && columns <= kernel.columns,
        "a tile leaves its factors"
    );
    let tile = Tile {
        a: a.as_ptr(),
        b: panel.as_ptr(),
        units: units.len(),
        out: output.at(row, column, rows, columns),
        stride: output.columns,
        rows,
        columns,
        go_on: units.start > 0,
    };
    // SAFETY: `a` and the panel have all units, and the output the tile, as asserted. Blocks and
    // parts are apart, so no other task writes to it; where sums go on, this task has written it.
    // The processor has the instructions, since there is this kernel.
    unsafe { (kernel.tile)(tile) };
}
