//! `x = q s / 127`: signed integers of 8 bits, of which bitsandbytes has one scale `s` for each
//! output, its largest magnitude.
//!
//! A block is `s` in f32, then 64 integers of one output.

use super::Blocks;
use super::nf4::float;

/// Values in a block.
pub(super) const VALUES: usize = 64;
/// Bytes of a block.
pub(super) const BYTES: usize = 4 + VALUES;

/// 1 / 127, as bitsandbytes rounds it.
const UNIT: f32 = 7.874_016e-3;

/// Blocks of this format.
pub(super) struct Int8<'a>(&'a [u8]);

impl<'a> Int8<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl Blocks for Int8<'_> {
    const VALUES: usize = VALUES;

    #[inline(always)]
    fn unpack(&self, block: usize, out: &mut [f32]) {
        let block = &self.0[block * BYTES..][..BYTES];
        let scale = float(block);
        for (out, q) in out.iter_mut().zip(&block[4..]) {
            *out = f32::from(q.cast_signed()) * scale * UNIT;
        }
    }
}

/// The values of integers `[d_out, d_in]` with the scale of each output, of any number of inputs.
///
/// # Panics
///
/// If there are fewer scales than outputs.
pub fn int8_values(codes: &[u8], scales: &[f32], d_in: usize) -> Vec<f32> {
    let rows = codes.chunks(d_in.max(1)).enumerate();
    rows.flat_map(|(row, codes)| {
        let scale = scales[row];
        codes
            .iter()
            .map(move |q| f32::from(q.cast_signed()) * scale * UNIT)
    })
    .collect()
}
