//! bf16 in AVX-512, summed in f32: tiles as those in f32, of pairs along the inner axis.
#![allow(unsafe_code)] // Vector instructions, and the pointers of micro-kernels.

use std::arch::x86_64::{
    __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_load_si512, _mm512_loadu_si512,
    _mm512_permutex2var_epi16, _mm512_set1_epi32, _mm512_store_si512,
};

use super::avx512::{by_rows, load, store, transpose};
use super::kernel::{Kernel, Tile};
use super::line::{LINE, Line};
use super::thin;

/// This, if the processor has it.
pub(super) fn kernel() -> Option<&'static Kernel> {
    static KERNEL: Kernel = Kernel {
        #[cfg(test)]
        name: "AVX-512 BF16",
        rows: 14,
        columns: 2 * LINE,
        of_unit: 2,
        tile,
        transpose,
        across,
        thin: thin::of_bf16,
    };
    let has = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512bf16");
    has.then_some(&KERNEL)
}

/// The same bits as 32 bf16.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn pairs(units: __m512i) -> __m512bh {
    // SAFETY: both are 512 bits, any of which are a value of either.
    unsafe { std::mem::transmute(units) }
}

/// # Safety
///
/// That of the portable one, on a processor that has the instructions.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn tile(t: Tile) {
    // SAFETY: the caller's.
    unsafe { by_rows!(rows, t) }
}

/// # Safety
///
/// That of [`tile`], of `R` rows.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn rows<const R: usize>(t: Tile) {
    // SAFETY: the caller's. Each unit of a panel is two lines, aligned; of 16 units each row has
    // one.
    unsafe {
        let mut sums = load::<R>(t);
        let (mut a, mut b) = (t.a.cast::<i32>(), t.b);
        let mut left = t.units;
        while left > 0 {
            let n = left.min(LINE);
            for l in 0..n {
                let half = |h| pairs(_mm512_load_si512(b.add(h).cast()));
                let panel = [half(0), half(1)];
                for (r, sums) in sums.iter_mut().enumerate() {
                    let x = pairs(_mm512_set1_epi32(*a.add(r * LINE + l)));
                    sums[0] = _mm512_dpbf16_ps(sums[0], x, panel[0]);
                    sums[1] = _mm512_dpbf16_ps(sums[1], x, panel[1]);
                }
                b = b.add(2);
            }
            a = a.add(R * LINE);
            left -= n;
        }
        store(t, sums);
    }
}

/// Elements of two rows in turns, from `from` on.
const fn in_turns(from: u16) -> [u16; 2 * LINE] {
    let mut order = [0; 2 * LINE];
    let mut i = 0;
    while i < LINE {
        order[2 * i] = from + i as u16;
        order[2 * i + 1] = 32 + from + i as u16;
        i += 1;
    }
    order
}

/// # Safety
///
/// A panel's 32 elements are readable at both places, and two lines are writable.
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn across(from: [*const u8; 2], to: *mut Line) {
    const TURNS: [[u16; 2 * LINE]; 2] = [in_turns(0), in_turns(16)];
    // SAFETY: the caller's; lines are aligned, and elements need not be.
    unsafe {
        let [first, second] = from.map(|from| _mm512_loadu_si512(from.cast()));
        for (h, turns) in TURNS.iter().enumerate() {
            let turns = _mm512_loadu_si512(turns.as_ptr().cast());
            let units = _mm512_permutex2var_epi16(first, turns, second);
            _mm512_store_si512(to.add(h).cast(), units);
        }
    }
}
