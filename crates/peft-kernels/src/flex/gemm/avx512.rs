//! f32 in AVX-512: tiles of up to 14 rows by 32 columns, in 28 accumulators; and what tiles of bf16
//! share with them.
#![allow(unsafe_code)] // Vector instructions, and the pointers of micro-kernels.

use std::arch::x86_64::{
    __m512, __m512i, _mm512_fmadd_ps, _mm512_load_ps, _mm512_loadu_si512, _mm512_mask_storeu_ps,
    _mm512_maskz_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512,
    _mm512_shuffle_i32x4, _mm512_store_si512, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64,
    _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

use super::kernel::{Kernel, Tile};
use super::line::{LINE, Line};
use super::thin;

/// This, if the processor has it.
pub(super) fn kernel() -> Option<&'static Kernel> {
    static KERNEL: Kernel = Kernel {
        #[cfg(test)]
        name: "AVX-512",
        rows: 14,
        columns: 2 * LINE,
        of_unit: 1,
        tile,
        transpose,
        across,
        thin: thin::of_f32,
    };
    is_x86_feature_detected!("avx512f").then_some(&KERNEL)
}

/// A function for each number of rows of a tile.
macro_rules! by_rows {
    ($rows:ident, $tile:expr) => {
        match $tile.rows {
            1 => $rows::<1>($tile),
            2 => $rows::<2>($tile),
            3 => $rows::<3>($tile),
            4 => $rows::<4>($tile),
            5 => $rows::<5>($tile),
            6 => $rows::<6>($tile),
            7 => $rows::<7>($tile),
            8 => $rows::<8>($tile),
            9 => $rows::<9>($tile),
            10 => $rows::<10>($tile),
            11 => $rows::<11>($tile),
            12 => $rows::<12>($tile),
            13 => $rows::<13>($tile),
            _ => $rows::<14>($tile),
        }
    };
}
pub(super) use by_rows;

/// # Safety
///
/// That of the portable one, on a processor that has the instructions.
#[target_feature(enable = "avx512f")]
unsafe fn tile(t: Tile) {
    // SAFETY: the caller's.
    unsafe { by_rows!(rows, t) }
}

/// # Safety
///
/// That of [`tile`], of `R` rows.
#[target_feature(enable = "avx512f")]
unsafe fn rows<const R: usize>(t: Tile) {
    // SAFETY: the caller's. Each unit of a panel is two lines, aligned; of 16 units each row has
    // one.
    unsafe {
        let mut sums = load::<R>(t);
        let (mut a, mut b) = (t.a.cast::<f32>(), t.b.cast::<f32>());
        let mut left = t.units;
        while left > 0 {
            let n = left.min(LINE);
            for l in 0..n {
                let panel = [_mm512_load_ps(b), _mm512_load_ps(b.add(LINE))];
                for (r, sums) in sums.iter_mut().enumerate() {
                    let x = _mm512_set1_ps(*a.add(r * LINE + l));
                    sums[0] = _mm512_fmadd_ps(x, panel[0], sums[0]);
                    sums[1] = _mm512_fmadd_ps(x, panel[1], sums[1]);
                }
                b = b.add(2 * LINE);
            }
            a = a.add(R * LINE);
            left -= n;
        }
        store(t, sums);
    }
}

/// The columns of each half of a panel that a tile has.
fn masks(t: Tile) -> [u16; 2] {
    let mask = |n: usize| ((1u32 << n.min(LINE)) - 1) as u16;
    [mask(t.columns), mask(t.columns.saturating_sub(LINE))]
}

/// What sums go on from.
///
/// # Safety
///
/// That of a tile of `R` rows.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) unsafe fn load<const R: usize>(t: Tile) -> [[__m512; 2]; R] {
    let mut sums = [[_mm512_setzero_ps(); 2]; R];
    if t.go_on {
        for (r, sums) in sums.iter_mut().enumerate() {
            for (h, (sum, mask)) in sums.iter_mut().zip(masks(t)).enumerate() {
                // SAFETY: the caller's. A place outside of the tile is not read, and its address is
                // not computed as one inside of an allocation.
                let from = t.out.wrapping_add(r * t.stride + h * LINE);
                *sum = unsafe { _mm512_maskz_loadu_ps(mask, from) };
            }
        }
    }
    sums
}

/// Sums to their places.
///
/// # Safety
///
/// That of a tile of `R` rows.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) unsafe fn store<const R: usize>(t: Tile, sums: [[__m512; 2]; R]) {
    for (r, sums) in sums.into_iter().enumerate() {
        for (h, (sum, mask)) in sums.into_iter().zip(masks(t)).enumerate() {
            // SAFETY: as of `load`.
            let to = t.out.wrapping_add(r * t.stride + h * LINE);
            unsafe { _mm512_mask_storeu_ps(to, mask, sum) };
        }
    }
}

/// # Safety
///
/// A panel's 32 elements are readable at the first place, and two lines are writable.
#[target_feature(enable = "avx512f")]
unsafe fn across(from: [*const u8; 2], to: *mut Line) {
    for h in 0..2 {
        // SAFETY: the caller's; lines are aligned, and elements need not be.
        unsafe {
            let units = _mm512_loadu_si512(from[0].add(h * size_of::<Line>()).cast());
            _mm512_store_si512(to.add(h).cast(), units);
        }
    }
}

/// # Safety
///
/// 16 units are readable at each of 16 places `pitch` bytes apart, and 16 lines `step` apart are
/// writable.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn transpose(from: *const u8, pitch: usize, to: *mut Line, step: usize) {
    // SAFETY: the caller's.
    let columns = unsafe { transposed(from, pitch) };
    for (i, column) in columns.into_iter().enumerate() {
        // SAFETY: the caller's; lines are aligned.
        unsafe { _mm512_store_si512(to.add(i * step).cast(), column) };
    }
}

/// Unit `i` of each of 16 places, for each `i` of 16.
///
/// # Safety
///
/// 16 units are readable at each of 16 places `pitch` bytes apart.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) unsafe fn transposed(from: *const u8, pitch: usize) -> [__m512i; LINE] {
    // SAFETY: the caller's.
    turned(std::array::from_fn(|i| unsafe {
        _mm512_loadu_si512(from.add(i * pitch).cast())
    }))
}

/// Unit `i` of each of 16 vectors, for each `i` of 16.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn turned(rows: [__m512i; LINE]) -> [__m512i; LINE] {
    // In each quarter of a vector: pairs of rows, then fours of them.
    let mut pairs = [_mm512_setzero_si512(); LINE];
    for i in (0..LINE).step_by(2) {
        pairs[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    let mut fours = [_mm512_setzero_si512(); LINE];
    for i in (0..LINE).step_by(4) {
        fours[i] = _mm512_unpacklo_epi64(pairs[i], pairs[i + 2]);
        fours[i + 1] = _mm512_unpackhi_epi64(pairs[i], pairs[i + 2]);
        fours[i + 2] = _mm512_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
        fours[i + 3] = _mm512_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
    }
    // `fours[4 r + j]` has of rows `4 r` to `4 r + 3` the units j, j + 4, j + 8, j + 12: its
    // quarters.
    const EVEN: i32 = 0b10_00_10_00;
    const ODD: i32 = 0b11_01_11_01;
    let mut columns = [_mm512_setzero_si512(); LINE];
    for j in 0..4 {
        let (upper, lower) = ([fours[j], fours[4 + j]], [fours[8 + j], fours[12 + j]]);
        let even = [upper, lower].map(|[x, y]| _mm512_shuffle_i32x4::<EVEN>(x, y));
        let odd = [upper, lower].map(|[x, y]| _mm512_shuffle_i32x4::<ODD>(x, y));
        columns[j] = _mm512_shuffle_i32x4::<EVEN>(even[0], even[1]);
        columns[4 + j] = _mm512_shuffle_i32x4::<EVEN>(odd[0], odd[1]);
        columns[8 + j] = _mm512_shuffle_i32x4::<ODD>(even[0], even[1]);
        columns[12 + j] = _mm512_shuffle_i32x4::<ODD>(odd[0], odd[1]);
    }
    columns
}
