//! Eight scales and eight least values of 6 bits each in 12 bytes, as `Q4_K` and `Q5_K` have them.

use super::half_at;

/// Of part `i` of eight: what its integers are multiplied by, and what is taken away then. `block`
/// begins with two halves, which scale them, and the 12 bytes.
pub(super) fn scale_and_least(block: &[u8], i: usize) -> (f32, f32) {
    let (d, least) = (half_at(block, 0), half_at(block, 2));
    let bytes = &block[4..16];
    let (scale, m) = match i {
        0..4 => (bytes[i] & 0x3f, bytes[i + 4] & 0x3f),
        _ => (
            bytes[i + 4] & 0x0f | bytes[i - 4] >> 6 << 4,
            bytes[i + 4] >> 4 | bytes[i] >> 6 << 4,
        ),
    };
    (d * f32::from(scale), least * f32::from(m))
}
