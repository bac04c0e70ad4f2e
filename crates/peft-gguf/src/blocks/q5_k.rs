//! `x = d s q − e m`: eight parts of 32 integers of 5 bits, each with `s` and `m` of 6 bits.

use super::k_scales::scale_and_least;
use super::{Block, LARGE, check};

/// 256 values in 176 bytes: `d` and `e` as halves, `s` and `m`, the fifth bits, the other four.
#[derive(Debug, Clone, Copy)]
pub struct Q5K;

impl Block for Q5K {
    const VALUES: usize = LARGE;
    const BYTES: usize = 16 + LARGE / 8 + LARGE / 2;

    fn unpack(block: &[u8], out: &mut [f32]) {
        check::<Self>(block, out);
        // Bit `part` of each of 32 bytes is the fifth bit of a part's values.
        let fifths = &block[16..48];
        for (part, out) in out.chunks_exact_mut(32).enumerate() {
            let (d, m) = scale_and_least(block, part);
            let bytes = &block[48 + part / 2 * 32..][..32];
            let shift = part % 2 * 4;
            for ((out, byte), fifth) in out.iter_mut().zip(bytes).zip(fifths) {
                let q = byte >> shift & 0x0f | (fifth >> part & 1) << 4;
                *out = d * f32::from(q) - m;
            }
        }
    }
}
