//! f32 in AVX2: tiles of up to 6 rows by 16 columns, in 12 accumulators.
#![allow(unsafe_code)] // Vector instructions, and the pointers of micro-kernels.

use std::arch::x86_64::{
    _mm256_fmadd_ps, _mm256_load_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_storeu_ps,
};

use super::kernel::{Kernel, Tile};
use super::line::LINE;
use super::portable;

/// This, if the processor has it.
pub(super) fn kernel() -> Option<&'static Kernel> {
    static KERNEL: Kernel = Kernel {
        #[cfg(test)]
        name: "AVX2",
        rows: 6,
        columns: LINE,
        of_unit: 1,
        tile,
        transpose: portable::transpose,
        across: portable::across,
        thin: |_| None,
    };
    (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(&KERNEL)
}

/// # Safety
///
/// That of [`portable`]'s, on a processor that has the instructions.
#[target_feature(enable = "avx2,fma")]
unsafe fn tile(t: Tile) {
    // SAFETY: the caller's.
    unsafe {
        match t.rows {
            1 => rows::<1>(t),
            2 => rows::<2>(t),
            3 => rows::<3>(t),
            4 => rows::<4>(t),
            5 => rows::<5>(t),
            _ => rows::<6>(t),
        }
    }
}

/// # Safety
///
/// That of [`tile`], of `R` rows.
#[target_feature(enable = "avx2,fma")]
unsafe fn rows<const R: usize>(t: Tile) {
    let mut out = [[0.0; LINE]; R];
    // SAFETY: the caller's. Each unit of a panel is a line, aligned; of 16 units each row has one.
    unsafe {
        portable::load(t, &mut out);
        let half = |out: &[f32; LINE], h: usize| _mm256_loadu_ps(out.as_ptr().add(8 * h));
        let mut sums = out.each_ref().map(|out| [half(out, 0), half(out, 1)]);
        let (mut a, mut b) = (t.a.cast::<f32>(), t.b.cast::<f32>());
        let mut left = t.units;
        while left > 0 {
            let n = left.min(LINE);
            for l in 0..n {
                let panel = [_mm256_load_ps(b), _mm256_load_ps(b.add(8))];
                for (r, sums) in sums.iter_mut().enumerate() {
                    let x = _mm256_set1_ps(*a.add(r * LINE + l));
                    sums[0] = _mm256_fmadd_ps(x, panel[0], sums[0]);
                    sums[1] = _mm256_fmadd_ps(x, panel[1], sums[1]);
                }
                b = b.add(LINE);
            }
            a = a.add(R * LINE);
            left -= n;
        }
        for (out, sums) in out.iter_mut().zip(sums) {
            _mm256_storeu_ps(out.as_mut_ptr(), sums[0]);
            _mm256_storeu_ps(out.as_mut_ptr().add(8), sums[1]);
        }
        portable::store(t, &out);
    }
}
