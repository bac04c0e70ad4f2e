//! [`TensorType`]: what a tensor's blocks are.

use std::fmt;

use crate::{BF16, Block, F16, F32, Pack, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0};

/// The types of tensors that are read, as ggml calls them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[allow(missing_docs, non_camel_case_types)]
pub enum TensorType {
    F32,
    F16,
    BF16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q4_K,
    Q5_K,
    Q6_K,
}

/// A type that nothing is packed in here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is read and not written; F32, F16, BF16, Q8_0 and Q4_0 are")]
pub struct PackError(pub TensorType);

/// Those that ggml has and are not read, by their numbers.
const OTHERS: [(u32, &str); 24] = [
    (4, "Q4_2"),
    (5, "Q4_3"),
    (9, "Q8_1"),
    (10, "Q2_K"),
    (11, "Q3_K"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
    (40, "NVFP4"),
];

impl TensorType {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::F32,
        Self::F16,
        Self::BF16,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q8_0,
        Self::Q4_K,
        Self::Q5_K,
        Self::Q6_K,
    ];

    /// Its number in files.
    pub fn code(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4_0 => 2,
            Self::Q4_1 => 3,
            Self::Q5_0 => 6,
            Self::Q5_1 => 7,
            Self::Q8_0 => 8,
            Self::Q4_K => 12,
            Self::Q5_K => 13,
            Self::Q6_K => 14,
            Self::BF16 => 30,
        }
    }

    /// The one of a number in a file, or what ggml calls that number.
    pub(crate) fn of_code(code: u32) -> Result<Self, String> {
        if let Some(found) = Self::ALL.into_iter().find(|ty| ty.code() == code) {
            return Ok(found);
        }
        let other = OTHERS.iter().find(|(number, _)| *number == code);
        Err(other.map_or_else(|| format!("number {code}"), |(_, name)| (*name).to_owned()))
    }

    /// Values in a block.
    pub fn block_values(self) -> usize {
        self.with(ValuesOf)
    }

    /// Bytes of a block.
    pub fn block_bytes(self) -> usize {
        self.with(BytesOf)
    }

    /// Bytes of so many values, whole blocks; none where they are no whole blocks, or too many.
    pub fn bytes(self, values: usize) -> Option<usize> {
        let blocks = values / self.block_values();
        let whole = values.is_multiple_of(self.block_values());
        blocks.checked_mul(self.block_bytes()).filter(|_| whole)
    }

    /// The largest value that a block is packed of: where its scale is a half, that must hold it.
    pub fn largest(self) -> f32 {
        const HALF: f32 = 65_504.0;
        match self {
            Self::F16 => HALF,
            Self::Q8_0 => HALF * 127.0,
            Self::Q4_0 => HALF * 8.0,
            Self::F32 | Self::BF16 => f32::MAX,
            // Nothing is packed in these.
            Self::Q4_1 | Self::Q5_0 | Self::Q5_1 | Self::Q4_K | Self::Q5_K | Self::Q6_K => 0.0,
        }
    }

    /// The values of whole blocks.
    ///
    /// # Panics
    ///
    /// Where the lengths are not those of as many blocks.
    pub fn unpack(self, blocks: &[u8], out: &mut [f32]) {
        self.with(Unpack { blocks, out });
    }

    /// Whole blocks of these values, put behind `out`. Q8_0 and Q4_0 are those of gguf-py's
    /// `quantize`, bit for bit, of finite values.
    ///
    /// # Errors
    ///
    /// [`PackError`] for a type that is only read.
    ///
    /// # Panics
    ///
    /// Where the values are no whole blocks.
    pub fn pack(self, values: &[f32], out: &mut Vec<u8>) -> Result<(), PackError> {
        match self {
            Self::F32 => pack::<F32>(values, out),
            Self::F16 => pack::<F16>(values, out),
            Self::BF16 => pack::<BF16>(values, out),
            Self::Q8_0 => pack::<Q8_0>(values, out),
            Self::Q4_0 => pack::<Q4_0>(values, out),
            Self::Q4_1 | Self::Q5_0 | Self::Q5_1 | Self::Q4_K | Self::Q5_K | Self::Q6_K => {
                return Err(PackError(self));
            }
        }
        Ok(())
    }

    /// What `visitor` does with the type's block.
    fn with<V: Visitor>(self, visitor: V) -> V::Out {
        match self {
            Self::F32 => visitor.visit::<F32>(),
            Self::F16 => visitor.visit::<F16>(),
            Self::BF16 => visitor.visit::<BF16>(),
            Self::Q4_0 => visitor.visit::<Q4_0>(),
            Self::Q4_1 => visitor.visit::<Q4_1>(),
            Self::Q5_0 => visitor.visit::<Q5_0>(),
            Self::Q5_1 => visitor.visit::<Q5_1>(),
            Self::Q8_0 => visitor.visit::<Q8_0>(),
            Self::Q4_K => visitor.visit::<Q4K>(),
            Self::Q5_K => visitor.visit::<Q5K>(),
            Self::Q6_K => visitor.visit::<Q6K>(),
        }
    }
}

/// What is done with a type's block, once for each type.
trait Visitor {
    type Out;
    fn visit<B: Block>(self) -> Self::Out;
}

struct ValuesOf;
impl Visitor for ValuesOf {
    type Out = usize;
    fn visit<B: Block>(self) -> usize {
        B::VALUES
    }
}

struct BytesOf;
impl Visitor for BytesOf {
    type Out = usize;
    fn visit<B: Block>(self) -> usize {
        B::BYTES
    }
}

struct Unpack<'a> {
    blocks: &'a [u8],
    out: &'a mut [f32],
}
impl Visitor for Unpack<'_> {
    type Out = ();
    fn visit<B: Block>(self) {
        let (n, rest) = (self.blocks.len() / B::BYTES, self.blocks.len() % B::BYTES);
        assert!(
            rest == 0 && self.out.len() == n * B::VALUES,
            "no whole blocks"
        );
        let blocks = self.blocks.chunks_exact(B::BYTES);
        for (block, out) in blocks.zip(self.out.chunks_exact_mut(B::VALUES)) {
            B::unpack(block, out);
        }
    }
}

fn pack<B: Pack>(values: &[f32], out: &mut Vec<u8>) {
    assert!(values.len().is_multiple_of(B::VALUES), "no whole blocks");
    let start = out.len();
    out.resize(start + values.len() / B::VALUES * B::BYTES, 0);
    let blocks = out[start..].chunks_exact_mut(B::BYTES);
    for (values, block) in values.chunks_exact(B::VALUES).zip(blocks) {
        B::pack(values, block);
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
