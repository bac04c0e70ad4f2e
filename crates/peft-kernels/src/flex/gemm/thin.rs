//! Products of a few rows, as in generation: each element of the right factor is read once from
//! where it lies, at the speed of memory. The sums are those of tiles, to the bit.
#![allow(unsafe_code)] // Vector instructions, and the pointers of micro-kernels.

use std::arch::x86_64::{
    __m512, __m512i, _MM_HINT_T1, _mm_prefetch, _mm512_castsi512_ps, _mm512_dpbf16_ps,
    _mm512_fmadd_ps, _mm512_load_ps, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_ps,
    _mm512_store_ps, _mm512_storeu_ps, _mm512_unpackhi_epi16, _mm512_unpacklo_epi16,
};

use super::avx512::transposed;
use super::bf16::pairs;
use super::kernel::{THIN_COLUMNS, Thin};
use super::line::{LINE, Line};

/// Columns of which sums in memory take eight units at once, and so read as many rows side by side;
/// of more columns they take four, since those rows are long enough to be read ahead.
const SHORT: usize = 768;

/// What a unit is, and one step of 16 sums.
trait Unit {
    /// The units of 32 columns, of as many elements of `OF` rows; in the order of [`Unit::place`].
    ///
    /// # Safety
    ///
    /// 32 elements are readable there in each of the rows, `pitch` bytes apart.
    unsafe fn across(from: *const u8, pitch: usize) -> [__m512i; 2];
    /// Where the sum of a column lies among the 32.
    fn place(column: usize) -> usize;
    /// `sums + x y`.
    ///
    /// # Safety
    ///
    /// The processor has the instructions.
    unsafe fn step(sums: __m512, x: __m512i, y: __m512i) -> __m512;
    /// Rows of elements of a unit.
    const OF: usize;
    /// Bytes of 32 elements.
    const BYTES: usize;
}

struct Single;
struct Pair;

impl Unit for Single {
    const OF: usize = 1;
    const BYTES: usize = 128;

    #[inline(always)]
    unsafe fn across(from: *const u8, _: usize) -> [__m512i; 2] {
        // SAFETY: the caller's.
        unsafe {
            let second = from.add(size_of::<Line>());
            [
                _mm512_loadu_si512(from.cast()),
                _mm512_loadu_si512(second.cast()),
            ]
        }
    }

    fn place(column: usize) -> usize {
        column
    }

    #[inline(always)]
    unsafe fn step(sums: __m512, x: __m512i, y: __m512i) -> __m512 {
        // SAFETY: the caller's.
        unsafe { _mm512_fmadd_ps(_mm512_castsi512_ps(x), _mm512_castsi512_ps(y), sums) }
    }
}

impl Unit for Pair {
    const OF: usize = 2;
    const BYTES: usize = 64;

    #[inline(always)]
    unsafe fn across(from: *const u8, pitch: usize) -> [__m512i; 2] {
        // SAFETY: the caller's.
        unsafe {
            let x = _mm512_loadu_si512(from.cast());
            let y = _mm512_loadu_si512(from.add(pitch).cast());
            [_mm512_unpacklo_epi16(x, y), _mm512_unpackhi_epi16(x, y)]
        }
    }

    /// Unpacked by quarters of a vector: the first four of eight columns, then the others.
    fn place(column: usize) -> usize {
        column / 8 * 4 + column % 4 + column / 4 % 2 * LINE
    }

    #[inline(always)]
    unsafe fn step(sums: __m512, x: __m512i, y: __m512i) -> __m512 {
        // SAFETY: the caller's.
        unsafe { _mm512_dpbf16_ps(sums, pairs(x), pairs(y)) }
    }
}

/// # Safety
///
/// As [`Thin`] says, of f32: `a` holds a line of each row for each 16 units, each line that the
/// columns and units reach is readable, `out` holds the rows, a stride apart, of the columns, which
/// nothing else holds. The processor has the instructions.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn of_f32(t: Thin) {
    // SAFETY: the caller's.
    unsafe {
        match t.rows {
            1 => rows_f32::<1>(t),
            2 => rows_f32::<2>(t),
            3 => rows_f32::<3>(t),
            _ => rows_f32::<4>(t),
        }
    }
}

/// # Safety
///
/// That of [`of_f32`], of bf16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn of_bf16(t: Thin) {
    // SAFETY: the caller's.
    unsafe {
        match t.rows {
            1 => rows_bf16::<1>(t),
            2 => rows_bf16::<2>(t),
            3 => rows_bf16::<3>(t),
            _ => rows_bf16::<4>(t),
        }
    }
}

/// # Safety
///
/// That of [`of_f32`], of `R` rows.
#[target_feature(enable = "avx512f")]
unsafe fn rows_f32<const R: usize>(t: Thin) {
    // SAFETY: the caller's.
    unsafe { rows::<Single, R>(t) }
}

/// # Safety
///
/// That of [`of_bf16`], of `R` rows.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn rows_bf16<const R: usize>(t: Thin) {
    // SAFETY: the caller's.
    unsafe { rows::<Pair, R>(t) }
}

/// # Safety
///
/// That of [`of_f32`], of `R` rows and the units' elements.
#[inline(always)]
unsafe fn rows<U: Unit, const R: usize>(t: Thin) {
    // SAFETY: the caller's.
    unsafe {
        match t.along_inner {
            true => along::<U, R>(t),
            false => across::<U, R>(t),
        }
    }
}

/// Unit `unit` of each row, in all lanes.
///
/// # Safety
///
/// There is this unit, and `R` rows.
#[inline(always)]
unsafe fn broadcast<const R: usize>(t: &Thin, unit: usize) -> [__m512i; R] {
    let lines = t.a.cast::<i32>();
    let at = |r| (unit / LINE * R + r) * LINE + unit % LINE;
    // SAFETY: the caller's.
    std::array::from_fn(|r| unsafe { _mm512_set1_epi32(*lines.add(at(r))) })
}

/// Lines across the inner axis: each group of units goes to the sums of all columns, which stay in
/// the cache, so that memory is read as it lies.
///
/// # Safety
///
/// That of [`rows`].
#[inline(always)]
unsafe fn across<U: Unit, const R: usize>(t: Thin) {
    let panels = t.columns / THIN_COLUMNS;
    let mut sums = vec![Line::ZERO; panels * R * 2];
    // SAFETY: the caller's: groups and units are of those that there are. Sums are two lines of
    // each row for each 32 columns.
    unsafe {
        match t.columns <= SHORT {
            true => groups::<U, R, 8>(&t, &mut sums),
            false => groups::<U, R, 4>(&t, &mut sums),
        }
    }
    for (i, sums) in sums.chunks_exact(2).enumerate() {
        let (panel, row) = (i / R, i % R);
        for column in 0..THIN_COLUMNS {
            let place = U::place(column);
            let sum = f32::from_bits(sums[place / LINE].0[place % LINE]);
            let at = row * t.stride + panel * THIN_COLUMNS + column;
            // SAFETY: the caller's: it is one of the rows and columns.
            unsafe { *t.out.add(at) = sum };
        }
    }
}

/// All units to all sums, `G` at a time.
///
/// # Safety
///
/// That of [`rows`]; sums are two lines of each row for each 32 columns.
#[inline(always)]
unsafe fn groups<U: Unit, const R: usize, const G: usize>(t: &Thin, sums: &mut [Line]) {
    let grouped = t.units - t.units % G;
    // SAFETY: the caller's: groups and units are of those that there are.
    unsafe {
        for unit in (0..grouped).step_by(G) {
            group::<U, R, G>(t, unit, sums);
        }
        for unit in grouped..t.units {
            group::<U, R, 1>(t, unit, sums);
        }
    }
}

/// `G` units from `unit` on to all sums.
///
/// # Safety
///
/// There are these units; the rest is that of [`rows`].
#[inline(always)]
unsafe fn group<U: Unit, const R: usize, const G: usize>(t: &Thin, unit: usize, sums: &mut [Line]) {
    // SAFETY: the caller's: in the lines of each unit 32 elements of a panel are readable.
    unsafe {
        let x: [[__m512i; R]; G] = std::array::from_fn(|g| broadcast(t, unit + g));
        for (panel, lines) in sums.chunks_exact_mut(2 * R).enumerate() {
            let place = lines.as_mut_ptr().cast::<f32>();
            let at = |r: usize, h: usize| place.add((2 * r + h) * LINE);
            let mut sums: [[__m512; 2]; R] =
                std::array::from_fn(|r| [_mm512_load_ps(at(r, 0)), _mm512_load_ps(at(r, 1))]);
            for (g, x) in x.iter().enumerate() {
                let from = t.b.add((unit + g) * U::OF * t.pitch + panel * U::BYTES);
                let y = U::across(from, t.pitch);
                for (sums, x) in sums.iter_mut().zip(x) {
                    sums[0] = U::step(sums[0], *x, y[0]);
                    sums[1] = U::step(sums[1], *x, y[1]);
                }
            }
            for (r, sums) in sums.into_iter().enumerate() {
                _mm512_store_ps(at(r, 0), sums[0]);
                _mm512_store_ps(at(r, 1), sums[1]);
            }
        }
    }
}

/// Lines along the inner axis: 16 units of 16 lines at once, turned in registers.
///
/// # Safety
///
/// That of [`rows`].
#[inline(always)]
unsafe fn along<U: Unit, const R: usize>(t: Thin) {
    for panel in 0..t.columns / THIN_COLUMNS {
        // SAFETY: the caller's: the panel's 32 lines are readable for all units, 16 of them at a
        // time; its sums have their places. What is asked for ahead need not be there.
        unsafe {
            let lines = t.b.add(panel * THIN_COLUMNS * t.pitch);
            let mut sums = [[_mm512_setzero_ps(); 2]; R];
            for unit in (0..t.units).step_by(LINE) {
                for h in 0..2 {
                    let from = lines.add(unit * 4 + h * LINE * t.pitch);
                    // The next panel's memory in the order in which it lies.
                    let ahead = THIN_COLUMNS * t.pitch + (2 * unit + h * LINE) * 64;
                    for i in 0..LINE {
                        let ahead = lines.wrapping_add(ahead + 64 * i);
                        _mm_prefetch::<_MM_HINT_T1>(ahead.cast());
                    }
                    for (i, y) in transposed(from, t.pitch).into_iter().enumerate() {
                        let x: [__m512i; R] = broadcast(&t, unit + i);
                        for (sums, x) in sums.iter_mut().zip(x) {
                            sums[h] = U::step(sums[h], x, y);
                        }
                    }
                }
            }
            for (r, sums) in sums.into_iter().enumerate() {
                let to = t.out.add(r * t.stride + panel * THIN_COLUMNS);
                _mm512_storeu_ps(to, sums[0]);
                _mm512_storeu_ps(to.add(LINE), sums[1]);
            }
        }
    }
}
