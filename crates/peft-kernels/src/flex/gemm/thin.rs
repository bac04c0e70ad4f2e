//! Products of a few rows, as in generation: each element of the right factor is read once from
//! where it lies, at the speed of memory, and widened to f32 as it is read. The sums are those of
//! tiles, to the bit.
#![allow(unsafe_code)] // Vector instructions, and the pointers of micro-kernels.

use std::arch::x86_64::{
    __m512, __m512i, _MM_HINT_T1, _mm_prefetch, _mm256_loadu_si256, _mm512_castps_si512,
    _mm512_castsi512_ps, _mm512_cvtepu16_epi32, _mm512_cvtph_ps, _mm512_dpbf16_ps, _mm512_fmadd_ps,
    _mm512_load_ps, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_ps, _mm512_slli_epi32,
    _mm512_store_ps, _mm512_storeu_ps, _mm512_unpackhi_epi16, _mm512_unpacklo_epi16,
};
use std::marker::PhantomData;

use super::avx512::{transposed, turned};
use super::bf16::pairs;
use super::kernel::{RunThin, THIN_COLUMNS, Thin};
use super::line::{LINE, Line};
use super::storage::Stored;

/// Columns of which sums in memory take eight units at once, and so read as many rows side by side;
/// of more columns they take four, since those rows are long enough to be read ahead.
const SHORT: usize = 768;

/// Lines of sums in memory, at most: half of the nearest cache.
const SUMS: usize = 512;

/// What a unit is, and one step of 16 sums.
trait Unit {
    /// The units of 32 columns, of as many elements of `OF` rows; in the order of [`Unit::place`].
    ///
    /// # Safety
    ///
    /// 32 elements are readable there in each of the rows, `pitch` bytes apart.
    unsafe fn across(from: *const u8, pitch: usize) -> [__m512i; 2];
    /// Of each of 16 units, that of 16 lines.
    ///
    /// # Safety
    ///
    /// 16 units are readable at each of 16 places `pitch` bytes apart.
    unsafe fn along(from: *const u8, pitch: usize) -> [__m512i; LINE];
    /// Where the sum of a column lies among the 32.
    fn place(column: usize) -> usize;
    /// `sums + x y`.
    ///
    /// # Safety
    ///
    /// The processor has the instructions.
    unsafe fn step(sums: __m512, x: __m512i, y: __m512i) -> __m512;
    /// Elements of a unit, each of a row of its own.
    const OF: usize;
    /// Bytes of an element.
    const BYTES: usize;
}

/// How 16 elements become f32.
trait Widen {
    /// # Safety
    ///
    /// 16 elements are readable there, and the processor has the instructions.
    unsafe fn read(from: *const u8) -> __m512i;
    const BYTES: usize;
}

struct F32;
struct Bf16;
struct F16;

impl Widen for F32 {
    const BYTES: usize = 4;

    #[inline(always)]
    unsafe fn read(from: *const u8) -> __m512i {
        // SAFETY: the caller's.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }
}

impl Widen for Bf16 {
    const BYTES: usize = 2;

    #[inline(always)]
    unsafe fn read(from: *const u8) -> __m512i {
        // SAFETY: the caller's.
        unsafe { _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()))) }
    }
}

impl Widen for F16 {
    const BYTES: usize = 2;

    #[inline(always)]
    unsafe fn read(from: *const u8) -> __m512i {
        // SAFETY: the caller's.
        unsafe { _mm512_castps_si512(_mm512_cvtph_ps(_mm256_loadu_si256(from.cast()))) }
    }
}

/// One element, widened to f32.
struct Single<W>(PhantomData<W>);

/// Two bf16.
struct Pair;

impl<W: Widen> Unit for Single<W> {
    const OF: usize = 1;
    const BYTES: usize = W::BYTES;

    #[inline(always)]
    unsafe fn across(from: *const u8, _: usize) -> [__m512i; 2] {
        // SAFETY: the caller's.
        unsafe { [W::read(from), W::read(from.add(LINE * W::BYTES))] }
    }

    #[inline(always)]
    unsafe fn along(from: *const u8, pitch: usize) -> [__m512i; LINE] {
        // SAFETY: the caller's.
        unsafe { turned(std::array::from_fn(|i| W::read(from.add(i * pitch)))) }
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
    const BYTES: usize = 2;

    #[inline(always)]
    unsafe fn across(from: *const u8, pitch: usize) -> [__m512i; 2] {
        // SAFETY: the caller's.
        unsafe {
            let x = _mm512_loadu_si512(from.cast());
            let y = _mm512_loadu_si512(from.add(pitch).cast());
            [_mm512_unpacklo_epi16(x, y), _mm512_unpackhi_epi16(x, y)]
        }
    }

    #[inline(always)]
    unsafe fn along(from: *const u8, pitch: usize) -> [__m512i; LINE] {
        // SAFETY: the caller's.
        unsafe { transposed(from, pitch) }
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

/// Of a factor that is multiplied in f32.
pub(super) fn of_f32(stored: Stored<'_>) -> Option<RunThin> {
    Some(match stored {
        Stored::F32(_) => singles::<F32>,
        Stored::Bf16(_) => singles::<Bf16>,
        Stored::F16(_) => singles::<F16>,
    })
}

/// Of a factor that is multiplied in bf16.
pub(super) fn of_bf16(stored: Stored<'_>) -> Option<RunThin> {
    match stored {
        Stored::Bf16(_) => Some(of_pairs),
        Stored::F32(_) | Stored::F16(_) => None,
    }
}

/// # Safety
///
/// As [`Thin`] says: `a` holds a line of each row for each 16 units, padded; each line that the
/// columns and units reach is readable, `out` holds the rows, a stride apart, of the columns, which
/// nothing else holds. The processor has the instructions.
#[target_feature(enable = "avx512f")]
unsafe fn singles<W: Widen>(t: Thin) {
    // SAFETY: the caller's.
    unsafe {
        match t.rows {
            1 => of_singles::<W, 1>(t),
            2 => of_singles::<W, 2>(t),
            3 | 4 => of_singles::<W, 4>(t),
            _ => of_singles::<W, 8>(t),
        }
    }
}

/// # Safety
///
/// That of [`singles`], of pairs.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn of_pairs(t: Thin) {
    // SAFETY: the caller's.
    unsafe {
        match t.rows {
            1 => rows_of_pairs::<1>(t),
            2 => rows_of_pairs::<2>(t),
            3 | 4 => rows_of_pairs::<4>(t),
            _ => rows_of_pairs::<8>(t),
        }
    }
}

/// # Safety
///
/// That of [`singles`], of `R` padded rows.
#[target_feature(enable = "avx512f")]
unsafe fn of_singles<W: Widen, const R: usize>(t: Thin) {
    // SAFETY: the caller's.
    unsafe { rows::<Single<W>, R>(t) }
}

/// # Safety
///
/// That of [`of_pairs`], of `R` padded rows.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn rows_of_pairs<const R: usize>(t: Thin) {
    // SAFETY: the caller's.
    unsafe { rows::<Pair, R>(t) }
}

/// # Safety
///
/// That of [`singles`], of `R` padded rows and the units' elements.
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

/// Lines across the inner axis: each group of units goes to the sums of many columns, which stay in
/// the cache, so that memory is read as it lies.
///
/// # Safety
///
/// That of [`rows`].
#[inline(always)]
unsafe fn across<U: Unit, const R: usize>(t: Thin) {
    let panels = t.columns / THIN_COLUMNS;
    let some = SUMS / (2 * R);
    let mut sums = vec![Line::ZERO; panels.min(some) * R * 2];
    for first in (0..panels).step_by(some) {
        let sums = &mut sums[..(panels - first).min(some) * R * 2];
        sums.fill(Line::ZERO);
        let columns = Thin {
            b: t.b.wrapping_add(first * THIN_COLUMNS * U::BYTES),
            out: t.out.wrapping_add(first * THIN_COLUMNS),
            ..t
        };
        // SAFETY: the caller's: these are some of the columns. Sums are two lines of each row for
        // each 32 columns.
        unsafe {
            match t.columns <= SHORT {
                true => groups::<U, R, 8>(&columns, sums),
                false => groups::<U, R, 4>(&columns, sums),
            }
            put::<U, R>(&columns, sums);
        }
    }
}

/// Sums to their places.
///
/// # Safety
///
/// That of [`groups`].
#[inline(always)]
unsafe fn put<U: Unit, const R: usize>(t: &Thin, sums: &[Line]) {
    for (panel, sums) in sums.chunks_exact(2 * R).enumerate() {
        for (row, sums) in sums.chunks_exact(2).enumerate().take(t.rows) {
            for column in 0..THIN_COLUMNS {
                let place = U::place(column);
                let sum = f32::from_bits(sums[place / LINE].0[place % LINE]);
                let at = row * t.stride + panel * THIN_COLUMNS + column;
                // SAFETY: the caller's: it is one of the rows and columns.
                unsafe { *t.out.add(at) = sum };
            }
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
                let row = t.b.add((unit + g) * U::OF * t.pitch);
                let from = row.add(panel * THIN_COLUMNS * U::BYTES);
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
                let of_unit = U::OF * U::BYTES;
                for h in 0..2 {
                    let from = lines.add(unit * of_unit + h * LINE * t.pitch);
                    // The next panel's memory in the order in which it lies.
                    let square = LINE * LINE * of_unit;
                    let ahead = THIN_COLUMNS * t.pitch + (2 * unit / LINE + h) * square;
                    for i in (0..square).step_by(size_of::<Line>()) {
                        let ahead = lines.wrapping_add(ahead + i);
                        _mm_prefetch::<_MM_HINT_T1>(ahead.cast());
                    }
                    for (i, y) in U::along(from, t.pitch).into_iter().enumerate() {
                        let x: [__m512i; R] = broadcast(&t, unit + i);
                        for (sums, x) in sums.iter_mut().zip(x) {
                            sums[h] = U::step(sums[h], x, y);
                        }
                    }
                }
            }
            for (r, sums) in sums.into_iter().enumerate().take(t.rows) {
                let to = t.out.add(r * t.stride + panel * THIN_COLUMNS);
                _mm512_storeu_ps(to, sums[0]);
                _mm512_storeu_ps(to.add(LINE), sums[1]);
            }
        }
    }
}
