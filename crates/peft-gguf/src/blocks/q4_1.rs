//! `x = d q + m`: a scale, a least value and 32 integers of 4 bits.

use super::{Block, SMALL, check, half_at, nibbles};

/// 32 values in 20 bytes: `d` and `m` as halves, then `q`.
#[derive(Debug, Clone, Copy)]
pub struct Q4_1;

impl Block for Q4_1 {
    const VALUES: usize = SMALL;
    const BYTES: usize = 4 + SMALL / 2;

    fn unpack(block: &[u8], out: &mut [f32]) {
        check::<Self>(block, out);
        let (d, m) = (half_at(block, 0), half_at(block, 2));
        nibbles::each(&block[4..], out, |q| d * f32::from(q) + m);
    }
}
