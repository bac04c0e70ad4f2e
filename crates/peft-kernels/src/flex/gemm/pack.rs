//! Packing: a block of a factor in the order in which a micro-kernel reads it.

use std::ops::Range;

use super::kernel::Kernel;
use super::line::{Element, LINE, Line};
use super::storage::{Lines, Plain};
use crate::flex::rows::vectorised;

/// A factor of a product.
#[derive(Clone, Copy)]
pub(super) struct Factor<'a, E> {
    pub(super) lines: &'a dyn Lines<E>,
    /// Whether each line runs along the inner axis.
    pub(super) along_inner: bool,
    /// Rows of a left factor, columns of a right one.
    pub(super) outer: usize,
    /// What is summed over.
    pub(super) inner: usize,
}

impl<E: Element> Factor<'_, E> {
    /// Along the inner axis; the last one is filled up with zeros.
    pub(super) fn units(&self) -> usize {
        self.inner.div_ceil(E::OF_UNIT)
    }

    /// Rows of a left factor: for each 16 units, a line of each row.
    pub(super) fn pack_rows(&self, kernel: &Kernel, rows: Range<usize>, out: &mut [Line]) {
        let n = rows.len();
        if self.along_inner {
            for (r, row) in rows.enumerate() {
                self.pack_row(row, |chunk, lines| {
                    for (i, line) in lines.iter().enumerate() {
                        out[(chunk + i) * n + r] = *line;
                    }
                });
            }
            return;
        }
        for (chunk, out) in out.chunks_exact_mut(n).enumerate() {
            for (start, out) in rows.clone().step_by(LINE).zip(out.chunks_mut(LINE)) {
                let square = self.square(kernel, start, chunk * LINE);
                out.copy_from_slice(&square[..out.len()]);
            }
        }
    }

    /// A line along the inner axis, some of its units at a time.
    fn pack_row(&self, row: usize, mut put: impl FnMut(usize, &[Line])) {
        const LINES: usize = 16;
        let of_line = LINE * E::OF_UNIT;
        let mut lines = [Line::ZERO; LINES];
        for start in (0..self.inner).step_by(LINES * of_line) {
            let n = (self.inner - start).min(LINES * of_line);
            let lines = &mut lines[..n.div_ceil(of_line)];
            let (elements, rest) = E::of(lines).split_at_mut(n);
            self.lines.read(row, start, elements);
            rest.fill(E::default());
            put(start / of_line, lines);
        }
    }

    /// 16 units from `unit` on, of each of 16 of the outer axis from `outer` on: a line of each.
    fn square(&self, kernel: &Kernel, outer: usize, unit: usize) -> [Line; LINE] {
        let mut square = [Line::ZERO; LINE];
        let first = unit * E::OF_UNIT;
        let n = LINE.min(self.outer - outer);
        let elements = (LINE * E::OF_UNIT).min(self.inner - first);
        if self.along_inner {
            for (i, line) in square.iter_mut().enumerate().take(n) {
                let out = &mut E::of(std::slice::from_mut(line))[..elements];
                self.lines.read(outer + i, first, out);
            }
            return square;
        }
        let mut turned = [Line::ZERO; LINE];
        let mut rows = [[E::default(); LINE]; 2];
        for (i, line) in turned.iter_mut().enumerate() {
            self.read_unit(unit + i, outer, &mut rows, n);
            let [first, second] = &rows;
            E::units(first, second, &mut line.0);
        }
        kernel.transpose(&turned, &mut square, 1);
        square
    }

    /// The elements of a unit, of `n` of the outer axis; zeros where the inner axis has ended. Only
    /// where lines lie across it.
    fn read_unit<const N: usize>(
        &self,
        unit: usize,
        outer: usize,
        rows: &mut [[E; N]; 2],
        n: usize,
    ) {
        for (i, row) in rows.iter_mut().enumerate().take(E::OF_UNIT) {
            let line = unit * E::OF_UNIT + i;
            if line < self.inner {
                self.lines.read(line, outer, &mut row[..n]);
            } else {
                row[..n].fill(E::default());
            }
        }
    }

    /// Columns of a right factor, panel by panel: for each unit, one of each column of the panel. A
    /// last panel is filled up with zeros. `units` begin at a multiple of 16.
    pub(super) fn pack_columns(
        &self,
        kernel: &Kernel,
        columns: Range<usize>,
        units: Range<usize>,
        out: &mut [Line],
    ) {
        if self.along_inner {
            self.pack_lines(kernel, columns, units, out);
        } else {
            self.pack_across(kernel, columns, units, out);
        }
    }

    /// Columns that are lines.
    fn pack_lines(
        &self,
        kernel: &Kernel,
        columns: Range<usize>,
        units: Range<usize>,
        out: &mut [Line],
    ) {
        let step = kernel.columns / LINE;
        let plain = self.lines.plain();
        let starts = (0..step).map(|half| half * LINE);
        for (panel, out) in out.chunks_exact_mut(units.len() * step).enumerate() {
            for start in starts.clone() {
                let column = columns.start + panel * kernel.columns + start;
                let out = &mut out[start / LINE..];
                match plain {
                    _ if column >= self.outer => {
                        let lines = out.iter_mut().step_by(step);
                        lines.for_each(|out| *out = Line::ZERO);
                    }
                    Some(plain) => self.pack_plain(kernel, plain, column, units.clone(), out),
                    None => self.pack_unpacked(kernel, column, units.clone(), out),
                }
            }
        }
    }

    /// 16 columns that are lines, from where they lie, to half a panel.
    fn pack_plain(
        &self,
        kernel: &Kernel,
        plain: Plain<'_, E>,
        column: usize,
        units: Range<usize>,
        out: &mut [Line],
    ) {
        let step = kernel.columns / LINE;
        for (i, unit) in units.clone().enumerate().step_by(LINE) {
            let out = &mut out[i * step..];
            let n = LINE.min(units.end - unit);
            let whole = n == LINE
                && column + LINE <= self.outer
                && (unit + LINE) * E::OF_UNIT <= self.inner;
            if whole {
                kernel.transpose_plain(plain, [column, unit * E::OF_UNIT], out, step);
                continue;
            }
            let square = self.square(kernel, column, unit);
            let mut turned = [Line::ZERO; LINE];
            kernel.transpose(&square, &mut turned, 1);
            for (out, turned) in out.iter_mut().step_by(step).zip(&turned[..n]) {
                *out = *turned;
            }
        }
    }

    /// 16 columns that are lines of another format, to half a panel: a run of each is unpacked at
    /// once, since blocks of a format are larger than a square.
    fn pack_unpacked(&self, kernel: &Kernel, column: usize, units: Range<usize>, out: &mut [Line]) {
        /// Elements of a run.
        const RUN: usize = 256;
        let step = kernel.columns / LINE;
        let of_run = RUN / E::OF_UNIT;
        let mut runs = [E::default(); LINE * RUN];
        let there = LINE.min(self.outer - column);
        for (done, unit) in units.clone().enumerate().step_by(of_run) {
            let many = of_run.min(units.end - unit);
            let first = unit * E::OF_UNIT;
            let elements = (many * E::OF_UNIT).min(self.inner - first);
            for (i, run) in runs.chunks_exact_mut(RUN).enumerate() {
                let (values, rest) = run.split_at_mut(if i < there { elements } else { 0 });
                if !values.is_empty() {
                    self.lines.read(column + i, first, values);
                }
                rest.fill(E::default());
            }
            let plain = Plain::new(&runs, 0, RUN, LINE, RUN);
            for part in (0..many).step_by(LINE) {
                let out = &mut out[(done + part) * step..];
                let (n, place) = (LINE.min(many - part), [0, part * E::OF_UNIT]);
                if n == LINE {
                    kernel.transpose_plain(plain, place, out, step);
                    continue;
                }
                let mut turned = [Line::ZERO; LINE];
                kernel.transpose_plain(plain, place, &mut turned, 1);
                for (out, turned) in out.iter_mut().step_by(step).zip(&turned[..n]) {
                    *out = *turned;
                }
            }
        }
    }

    /// Columns that lie across lines.
    fn pack_across(
        &self,
        kernel: &Kernel,
        columns: Range<usize>,
        units: Range<usize>,
        out: &mut [Line],
    ) {
        /// Elements that are unpacked at once; a multiple of all panels' columns.
        const WIDE: usize = 256;
        let step = kernel.columns / LINE;
        let panel = units.len() * step;
        let plain = self.lines.plain();
        let mut rows = [[E::default(); WIDE]; 2];
        for (i, unit) in units.enumerate() {
            let whole = (unit + 1) * E::OF_UNIT <= self.inner;
            for (w, start) in columns.clone().step_by(WIDE).enumerate() {
                let n = WIDE.min(columns.end - start);
                let panels = out[w * WIDE / kernel.columns * panel..].chunks_mut(panel);
                if let Some(plain) = plain
                    && whole
                    && n.is_multiple_of(kernel.columns)
                {
                    for (p, out) in panels.take(n / kernel.columns).enumerate() {
                        let place = [unit * E::OF_UNIT, start + p * kernel.columns];
                        kernel.across_plain(plain, place, &mut out[i * step..(i + 1) * step]);
                    }
                    continue;
                }
                self.read_unit(unit, start, &mut rows, n);
                let filled = n.next_multiple_of(kernel.columns);
                for row in &mut rows {
                    row[n..filled].fill(E::default());
                }
                let of_panels = |row: usize| rows[row][..filled].chunks_exact(LINE);
                let lines = panels.flat_map(|out| &mut out[i * step..(i + 1) * step]);
                vectorised(|| {
                    for ((out, x), y) in lines.zip(of_panels(0)).zip(of_panels(1)) {
                        E::units(x, y, &mut out.0);
                    }
                });
            }
        }
    }
}
