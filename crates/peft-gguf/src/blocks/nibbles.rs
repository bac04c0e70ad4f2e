//! 32 integers, of which the first 16 are the lower halves of 16 bytes and the others the upper,
//! with a fifth bit of each beside them or without.

use super::SMALL;

/// The integers of 16 bytes, each with its function.
pub(super) fn each(bytes: &[u8], out: &mut [f32], value: impl Fn(u8) -> f32) {
    let (low, high) = out.split_at_mut(SMALL / 2);
    for ((byte, low), high) in bytes.iter().zip(low).zip(high) {
        *low = value(byte & 0x0f);
        *high = value(byte >> 4);
    }
}

/// The same with a fifth bit: that of value `i` is bit `i` of `fifths`.
pub(super) fn each_of_five(
    bytes: &[u8],
    fifths: [u8; 4],
    out: &mut [f32],
    value: impl Fn(u8) -> f32,
) {
    let fifths = u32::from_le_bytes(fifths);
    let fifth = |i: usize| (((fifths >> i) & 1) as u8) << 4;
    let (low, high) = out.split_at_mut(SMALL / 2);
    for (i, ((byte, low), high)) in bytes.iter().zip(low).zip(high).enumerate() {
        *low = value(byte & 0x0f | fifth(i));
        *high = value(byte >> 4 | fifth(i + SMALL / 2));
    }
}
