//! `x = a CODE[q]`: four bits each, and a scale `a` for 64 of them, its largest magnitude. The
//! codes are the quantiles of a normal distribution: *QLoRA*, Dettmers et al. 2023, appendix E;
//! values and rounding have the bits of bitsandbytes.
//!
//! A block is `a` in f32, then 32 bytes, of which each has its first value in the upper half.

use super::Blocks;

/// Values in a block.
pub(super) const VALUES: usize = 64;
/// Bytes of the values in a block.
pub(super) const CODES: usize = VALUES / 2;
/// Bytes of a block.
pub(super) const BYTES: usize = 4 + CODES;

/// What the sixteen codes of nf4 stand for.
pub const NF4_CODES: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

const CODE: [f32; 16] = NF4_CODES;

/// The two values of each byte.
static PAIRS: [[f32; 2]; 256] = {
    let mut pairs = [[0.0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [CODE[byte >> 4], CODE[byte & 15]];
        byte += 1;
    }
    pairs
};

/// The values of codes, scaled.
#[inline(always)]
pub(super) fn unpack(scale: f32, codes: &[u8], out: &mut [f32]) {
    for (pair, byte) in out.as_chunks_mut::<2>().0.iter_mut().zip(codes) {
        *pair = PAIRS[usize::from(*byte)];
    }
    for x in out {
        *x *= scale;
    }
}

/// The f32 at the beginning.
#[inline(always)]
pub(super) fn float(bytes: &[u8]) -> f32 {
    f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// Blocks of this format.
pub(super) struct Nf4<'a>(&'a [u8]);

impl<'a> Nf4<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl Blocks for Nf4<'_> {
    const VALUES: usize = VALUES;

    #[inline(always)]
    fn unpack(&self, block: usize, out: &mut [f32]) {
        let block = &self.0[block * BYTES..][..BYTES];
        unpack(float(block), &block[4..], out);
    }
}

/// The block of these values; of fewer than 64 it is a last one.
pub(super) fn pack(values: &[f32], out: &mut Vec<u8>) {
    /// What bitsandbytes divides by where all is 0.
    const LEAST: f32 = 1e-38;
    let largest = values
        .iter()
        .fold(0.0f32, |largest, x| largest.max(x.abs()));
    let divisor = largest.max(LEAST);
    // As there: a last block is divided, and keeps what it is divided by.
    let whole = values.len() == VALUES;
    let scale = if whole { largest } else { divisor };
    let inverse = 1.0 / divisor;
    let code = |x: &f32| {
        let x = if whole { x * inverse } else { x / divisor };
        let x = x.clamp(-1.0, 1.0);
        let mut code = 0;
        while code < 15 && (CODE[code] + CODE[code + 1]) / 2.0 < x {
            code += 1;
        }
        code as u8
    };
    out.extend_from_slice(&scale.to_le_bytes());
    let start = out.len();
    for pair in values.chunks(2) {
        // A last byte is filled up with a 0.
        let second = pair.get(1).map_or_else(|| code(&0.0), code);
        out.push(code(&pair[0]) << 4 | second);
    }
    out.resize(start + CODES, 0);
}
