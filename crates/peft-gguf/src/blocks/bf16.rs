//! The upper halves of numbers of 32 bits.

use peft_files::{bf16_to_f32, f32_to_bf16};

use super::{Block, Pack, check};

/// The upper half of a number of 32 bits.
#[derive(Debug, Clone, Copy)]
pub struct BF16;

impl Block for BF16 {
    const VALUES: usize = 1;
    const BYTES: usize = 2;

    fn unpack(block: &[u8], out: &mut [f32]) {
        check::<Self>(block, out);
        out[0] = bf16_to_f32([block[0], block[1]]);
    }
}

impl Pack for BF16 {
    fn pack(values: &[f32], block: &mut [u8]) {
        check::<Self>(block, values);
        block.copy_from_slice(&f32_to_bf16(values[0]));
    }
}
