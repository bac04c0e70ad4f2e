//! `x = d q`: a scale and 32 signed integers of 8 bits.

use super::{Block, Pack, SMALL, check, half_at, put_half};

/// 32 values in 34 bytes: `d` as a half, then `q`.
#[derive(Debug, Clone, Copy)]
pub struct Q8_0;

impl Block for Q8_0 {
    const VALUES: usize = SMALL;
    const BYTES: usize = 2 + SMALL;

    fn unpack(block: &[u8], out: &mut [f32]) {
        check::<Self>(block, out);
        let d = half_at(block, 0);
        for (out, q) in out.iter_mut().zip(&block[2..]) {
            *out = f32::from(q.cast_signed()) * d;
        }
    }
}

impl Pack for Q8_0 {
    /// The value that is largest in size becomes 127 or −127.
    fn pack(values: &[f32], block: &mut [u8]) {
        check::<Self>(block, values);
        let largest = values.iter().fold(0.0_f32, |n, value| n.max(value.abs()));
        let d = largest / 127.0;
        let inverse = if d == 0.0 { 0.0 } else { 1.0 / d };
        put_half(block, d);
        for (byte, value) in block[2..].iter_mut().zip(values) {
            *byte = ((value * inverse).round() as i8).cast_unsigned();
        }
    }
}
