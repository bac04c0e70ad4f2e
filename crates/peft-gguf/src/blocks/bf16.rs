//! The upper halves of numbers of 32 bits.

use half::bf16;

use super::{Block, Pack, check};

/// The upper half of a number of 32 bits.
#[derive(Debug, Clone, Copy)]
pub struct BF16;

impl Block for BF16 {
    const VALUES: usize = 1;
    const BYTES: usize = 2;

    fn unpack(block: &[u8], out: &mut [f32]) {
        check::<Self>(block, out);
        out[0] = f32::from_le_bytes([0, 0, block[0], block[1]]);
    }
}

impl Pack for BF16 {
    fn pack(values: &[f32], block: &mut [u8]) {
        check::<Self>(block, values);
        block.copy_from_slice(&bf16::from_f32(values[0]).to_le_bytes());
    }
}
