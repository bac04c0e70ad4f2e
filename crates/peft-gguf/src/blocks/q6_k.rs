//! `x = d s (q − 32)`: sixteen parts of 16 integers of 6 bits, each with a signed `s` of 8 bits.

use super::{Block, LARGE, check, half_at};

/// 256 values in 210 bytes: the lower four bits of `q`, the upper two, `s`, and `d` as a half.
#[derive(Debug, Clone, Copy)]
pub struct Q6K;

/// Where the upper bits begin, the scales, and `d`.
const HIGH: usize = LARGE / 2;
const SCALES: usize = HIGH + LARGE / 4;
const D: usize = SCALES + LARGE / 16;

impl Block for Q6K {
    const VALUES: usize = LARGE;
    const BYTES: usize = D + 2;

    fn unpack(block: &[u8], out: &mut [f32]) {
        check::<Self>(block, out);
        let d = half_at(block, D);
        for (i, out) in out.iter_mut().enumerate() {
            // Half a block has 64 bytes of lower bits and 32 of upper ones: four runs of 32 values.
            let (half, run, at) = (i / 128, i % 128 / 32, i % 32);
            let low = block[half * 64 + run % 2 * 32 + at] >> (run / 2 * 4) & 0x0f;
            let high = block[HIGH + half * 32 + at] >> (run * 2) & 0x03;
            let scale = d * f32::from(block[SCALES + i / 16].cast_signed());
            *out = scale * (f32::from(low | high << 4) - 32.0);
        }
    }
}
