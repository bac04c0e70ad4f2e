//! Halves.

use super::{Block, Pack, check, half_at, put_half};

/// A half: 5 bits of exponent, 10 of mantissa.
#[derive(Debug, Clone, Copy)]
pub struct F16;

impl Block for F16 {
    const VALUES: usize = 1;
    const BYTES: usize = 2;

    fn unpack(block: &[u8], out: &mut [f32]) {
        check::<Self>(block, out);
        out[0] = half_at(block, 0);
    }
}

impl Pack for F16 {
    fn pack(values: &[f32], block: &mut [u8]) {
        check::<Self>(block, values);
        put_half(block, values[0]);
    }
}
