//! Plain numbers of 32 bits.

use super::{Block, Pack, check};

/// A number of 32 bits.
#[derive(Debug, Clone, Copy)]
pub struct F32;

impl Block for F32 {
    const VALUES: usize = 1;
    const BYTES: usize = 4;

    fn unpack(block: &[u8], out: &mut [f32]) {
        check::<Self>(block, out);
        out[0] = f32::from_le_bytes([block[0], block[1], block[2], block[3]]);
    }
}

impl Pack for F32 {
    fn pack(values: &[f32], block: &mut [u8]) {
        check::<Self>(block, values);
        block.copy_from_slice(&values[0].to_le_bytes());
    }
}
