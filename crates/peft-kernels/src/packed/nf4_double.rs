//! [`nf4`](super::nf4) with scales in eight bits: `a = s TABLE[i] + o`, with a scale `s` for 256
//! blocks and one mean `o` of all, as bitsandbytes' double quantisation has them.
//!
//! The bytes are the 256 values of the table in f32, `o`, `s` of each 256 blocks, and the blocks:
//! `i`, then 32 bytes as of nf4.

use super::Blocks;
use super::nf4::{self, CODES, VALUES, float, unpack};
use crate::{Blockwise8, Signs};

/// Bytes of a block.
const BYTES: usize = 1 + CODES;
/// Blocks that share a scale of scales.
pub(super) const SHARING: usize = 256;
/// Bytes of the table and the mean.
const TABLE: usize = 4 * 256 + 4;

/// Bytes of so many blocks.
pub(super) fn bytes(blocks: usize) -> Option<usize> {
    let scales = blocks.div_ceil(SHARING).checked_mul(4)?;
    let blocks = blocks.checked_mul(BYTES)?;
    TABLE.checked_add(scales)?.checked_add(blocks)
}

/// Blocks of this format.
pub(super) struct Nf4Double<'a> {
    /// The scales of each index, before they are scaled.
    table: [f32; 256],
    mean: f32,
    scales: &'a [u8],
    blocks: &'a [u8],
}

impl<'a> Nf4Double<'a> {
    pub(super) fn new(all: &'a [u8]) -> Self {
        let mut table = [0.0; 256];
        let (head, rest) = all.split_at(TABLE);
        for (value, bytes) in table.iter_mut().zip(head.chunks_exact(4)) {
            *value = float(bytes);
        }
        // Of so many bytes one number of blocks has as many.
        let mut blocks = rest.len() / BYTES;
        while bytes(blocks).is_some_and(|bytes| bytes > all.len()) {
            blocks -= 1;
        }
        let (scales, blocks) = rest.split_at(rest.len() - blocks * BYTES);
        Self {
            table,
            mean: float(&head[TABLE - 4..]),
            scales,
            blocks,
        }
    }
}

impl Blocks for Nf4Double<'_> {
    const VALUES: usize = VALUES;

    #[inline(always)]
    fn unpack(&self, block: usize, out: &mut [f32]) {
        let of_scales = float(&self.scales[block / SHARING * 4..]);
        let block = &self.blocks[block * BYTES..][..BYTES];
        let scale = self.table[usize::from(block[0])] * of_scales + self.mean;
        unpack(scale, &block[1..], out);
    }
}

/// The bytes of a weight that bitsandbytes has packed, of its parts: `codes` of two values a byte,
/// an index of each block, scales of the indices and their table, and the mean.
pub(super) fn join(
    codes: &[u8],
    indices: &[u8],
    scales: &[f32],
    table: &[f32; 256],
    mean: f32,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes(indices.len()).unwrap_or(0));
    let floats = table.iter().chain([&mean]).chain(scales);
    floats.for_each(|x| out.extend_from_slice(&x.to_le_bytes()));
    for (index, codes) in indices.iter().zip(codes.chunks(CODES)) {
        out.push(*index);
        out.extend_from_slice(codes);
        out.resize(out.len() + CODES - codes.len(), 0);
    }
    out
}

/// The bytes of a weight in nf4 with its scales in eight bits, less their mean.
pub(super) fn quantise(blocks: &[u8]) -> Vec<u8> {
    let blocks = || blocks.chunks_exact(nf4::BYTES);
    let mut scales: Vec<f32> = blocks().map(float).collect();
    let sum: f64 = scales.iter().map(|scale| f64::from(*scale)).sum();
    let mean = (sum / scales.len().max(1) as f64) as f32;
    scales.iter_mut().for_each(|scale| *scale -= mean);
    let scales = Blockwise8::of(Signs::Both, &scales);
    let codes: Vec<u8> = blocks().flat_map(|block| block[4..].to_vec()).collect();
    let table = Signs::Both.values();
    join(&codes, scales.codes(), scales.scales(), table, mean)
}
