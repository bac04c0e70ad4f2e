//! `x = d (q − 8)`: a scale and 32 integers of 4 bits.

use super::{Block, Pack, SMALL, check, half_at, nibbles, put_half};

/// 32 values in 18 bytes: `d` as a half, then `q`.
#[derive(Debug, Clone, Copy)]
pub struct Q4_0;

impl Block for Q4_0 {
    const VALUES: usize = SMALL;
    const BYTES: usize = 2 + SMALL / 2;

    fn unpack(block: &[u8], out: &mut [f32]) {
        check::<Self>(block, out);
        let d = half_at(block, 0);
        nibbles::each(&block[2..], out, |q| d * (f32::from(q) - 8.0));
    }
}

impl Pack for Q4_0 {
    /// The value that is largest in size becomes −8.
    fn pack(values: &[f32], block: &mut [u8]) {
        check::<Self>(block, values);
        let largest = values.iter().fold(0.0_f32, |largest, value| {
            match value.abs() > largest.abs() {
                true => *value,
                false => largest,
            }
        });
        // Of zeros alone the first says which zero it is.
        let largest = if largest == 0.0 { values[0] } else { largest };
        let d = largest / -8.0;
        let inverse = if d == 0.0 { 0.0 } else { 1.0 / d };
        let q = |value: f32| ((value * inverse + 8.5) as u8).min(15);
        put_half(block, d);
        let (low, high) = values.split_at(SMALL / 2);
        for ((byte, low), high) in block[2..].iter_mut().zip(low).zip(high) {
            *byte = q(*low) | q(*high) << 4;
        }
    }
}
