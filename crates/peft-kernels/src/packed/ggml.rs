//! Blocks of ggml's types, as they lie in GGUF files.

use std::marker::PhantomData;

use super::Blocks;

/// Blocks of one type.
pub(super) struct Ggml<'a, B> {
    bytes: &'a [u8],
    ty: PhantomData<fn() -> B>,
}

impl<'a, B> Ggml<'a, B> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            ty: PhantomData,
        }
    }
}

impl<B: peft_gguf::Block> Blocks for Ggml<'_, B> {
    const VALUES: usize = B::VALUES;

    #[inline(always)]
    fn unpack(&self, block: usize, out: &mut [f32]) {
        B::unpack(&self.bytes[block * B::BYTES..][..B::BYTES], out);
    }
}
