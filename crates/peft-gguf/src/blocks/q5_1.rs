//! `x = d q + m`: a scale, a least value and 32 integers of 5 bits.

use super::{Block, SMALL, check, half_at, nibbles};

/// 32 values in 24 bytes: `d` and `m` as halves, the fifth bits, then the other four.
#[derive(Debug, Clone, Copy)]
pub struct Q5_1;

impl Block for Q5_1 {
    const VALUES: usize = SMALL;
    const BYTES: usize = 8 + SMALL / 2;

    fn unpack(block: &[u8], out: &mut [f32]) {
        check::<Self>(block, out);
        let (d, m) = (half_at(block, 0), half_at(block, 2));
        let fifths = [block[4], block[5], block[6], block[7]];
        nibbles::each_of_five(&block[8..], fifths, out, |q| d * f32::from(q) + m);
    }
}
