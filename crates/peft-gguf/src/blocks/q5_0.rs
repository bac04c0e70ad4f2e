//! `x = d (q − 16)`: a scale and 32 integers of 5 bits.

use super::{Block, SMALL, check, half_at, nibbles};

/// 32 values in 22 bytes: `d` as a half, the fifth bits, then the other four.
#[derive(Debug, Clone, Copy)]
pub struct Q5_0;

impl Block for Q5_0 {
    const VALUES: usize = SMALL;
    const BYTES: usize = 6 + SMALL / 2;

    fn unpack(block: &[u8], out: &mut [f32]) {
        check::<Self>(block, out);
        let d = half_at(block, 0);
        let fifths = [block[2], block[3], block[4], block[5]];
        nibbles::each_of_five(&block[6..], fifths, out, |q| d * (f32::from(q) - 16.0));
    }
}
