//! `x = d s q − e m`: eight parts of 32 integers of 4 bits, each with `s` and `m` of 6 bits.

use super::k_scales::scale_and_least;
use super::{Block, LARGE, check};

/// 256 values in 144 bytes: `d` and `e` as halves, `s` and `m`, then `q`.
#[derive(Debug, Clone, Copy)]
pub struct Q4K;

impl Block for Q4K {
    const VALUES: usize = LARGE;
    const BYTES: usize = 16 + LARGE / 2;

    fn unpack(block: &[u8], out: &mut [f32]) {
        check::<Self>(block, out);
        // 32 bytes are two parts: the lower halves, then the upper.
        for (part, out) in out.chunks_exact_mut(32).enumerate() {
            let (d, m) = scale_and_least(block, part);
            let bytes = &block[16 + part / 2 * 32..][..32];
            let shift = part % 2 * 4;
            for (out, byte) in out.iter_mut().zip(bytes) {
                *out = d * f32::from(byte >> shift & 0x0f) - m;
            }
        }
    }
}
