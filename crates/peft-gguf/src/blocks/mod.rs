//! [`Block`]: a run of values of a row, and how its bytes are read; a file a type.

mod bf16;
mod f16;
mod f32;
mod k_scales;
mod nibbles;
mod q4_0;
mod q4_1;
mod q4_k;
mod q5_0;
mod q5_1;
mod q5_k;
mod q6_k;
mod q8_0;

pub use bf16::BF16;
pub use f16::F16;
pub use f32::F32;
pub use q4_0::Q4_0;
pub use q4_1::Q4_1;
pub use q4_k::Q4K;
pub use q5_0::Q5_0;
pub use q5_1::Q5_1;
pub use q5_k::Q5K;
pub use q6_k::Q6K;
pub use q8_0::Q8_0;

/// So many values of a row, in so many bytes.
pub trait Block {
    /// Values in a block.
    const VALUES: usize;
    /// Bytes of a block.
    const BYTES: usize;

    /// The values, with the bits of gguf-py's `dequantize`.
    ///
    /// # Panics
    ///
    /// Where `block` is not of [`BYTES`](Self::BYTES) or `out` not of [`VALUES`](Self::VALUES).
    fn unpack(block: &[u8], out: &mut [f32]);
}

/// A block that values are packed in.
pub trait Pack: Block {
    /// The block of these values, with the bits of gguf-py's `quantize` where they are finite.
    ///
    /// # Panics
    ///
    /// Where `block` is not of [`BYTES`](Block::BYTES) or `values` not of
    /// [`VALUES`](Block::VALUES).
    fn pack(values: &[f32], block: &mut [u8]);
}

/// Values in a block of the types that are no k-quants.
const SMALL: usize = 32;
/// Values in a block of the k-quants.
const LARGE: usize = 256;

/// The half at byte `at`.
fn half_at(block: &[u8], at: usize) -> f32 {
    peft_files::f16_to_f32([block[at], block[at + 1]])
}

/// Put a half at the beginning.
fn put_half(block: &mut [u8], value: f32) {
    block[..2].copy_from_slice(&peft_files::f32_to_f16(value));
}

/// That a block and its values are whole.
fn check<B: Block>(block: &[u8], values: &[f32]) {
    assert_eq!(
        (block.len(), values.len()),
        (B::BYTES, B::VALUES),
        "no whole block"
    );
}
