//! [`Blocks`]: the blocks of a weight, unpacked one at a time.

use peft_gguf::{Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0};

use super::PackedFormat;
use super::ggml::Ggml;
use super::int8::Int8;
use super::nf4::Nf4;
use super::nf4_double::Nf4Double;

/// Values of the largest block.
const LARGEST: usize = 256;

/// All blocks of a weight, in one format.
pub(crate) trait Blocks: Sync {
    /// Values in a block, at most [`LARGEST`].
    const VALUES: usize;

    /// The values of a block, `out` of [`VALUES`](Self::VALUES).
    fn unpack(&self, block: usize, out: &mut [f32]);
}

/// Values from element `at` on, as many as `out` takes.
#[inline(always)]
pub(crate) fn read<B: Blocks>(blocks: &B, mut at: usize, mut out: &mut [f32]) {
    while !out.is_empty() {
        let (block, from) = (at / B::VALUES, at % B::VALUES);
        let n = out.len().min(B::VALUES - from);
        let (now, rest) = out.split_at_mut(n);
        if n == B::VALUES {
            blocks.unpack(block, now);
        } else {
            let mut whole = [0.0; LARGEST];
            blocks.unpack(block, &mut whole[..B::VALUES]);
            now.copy_from_slice(&whole[from..from + n]);
        }
        at += n;
        out = rest;
    }
}

/// What is done with blocks, whatever their format: written once, compiled for each.
pub(crate) trait WithBlocks {
    /// What it gives.
    type Output;
    /// Do it.
    fn run<B: Blocks>(self, blocks: B) -> Self::Output;
}

/// `work` on the blocks of these bytes.
pub(crate) fn with_blocks<W: WithBlocks>(format: PackedFormat, bytes: &[u8], work: W) -> W::Output {
    match format {
        PackedFormat::Nf4 => work.run(Nf4::new(bytes)),
        PackedFormat::Nf4Double => work.run(Nf4Double::new(bytes)),
        PackedFormat::Int8 => work.run(Int8::new(bytes)),
        PackedFormat::Q4_0 => work.run(Ggml::<Q4_0>::new(bytes)),
        PackedFormat::Q4_1 => work.run(Ggml::<Q4_1>::new(bytes)),
        PackedFormat::Q5_0 => work.run(Ggml::<Q5_0>::new(bytes)),
        PackedFormat::Q5_1 => work.run(Ggml::<Q5_1>::new(bytes)),
        PackedFormat::Q8_0 => work.run(Ggml::<Q8_0>::new(bytes)),
        PackedFormat::Q4_K => work.run(Ggml::<Q4K>::new(bytes)),
        PackedFormat::Q5_K => work.run(Ggml::<Q5K>::new(bytes)),
        PackedFormat::Q6_K => work.run(Ggml::<Q6K>::new(bytes)),
    }
}
