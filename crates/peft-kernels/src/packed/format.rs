//! [`PackedFormat`]: how values are packed.

use std::fmt;

use peft_gguf::TensorType;

use super::{int8, nf4, nf4_double};

/// How blocks of values are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[allow(non_camel_case_types)] // As ggml calls them.
pub enum PackedFormat {
    /// Four bits of bitsandbytes' `nf4`, a scale in f32 for each 64.
    Nf4,
    /// The same with scales in eight bits, a scale of those in f32 for each 256: bitsandbytes'
    /// double quantisation.
    Nf4Double,
    /// bitsandbytes' `int8`, a scale in f32 for each output, which is held for each 64 of its
    /// values.
    Int8,
    /// ggml's, four bits.
    Q4_0,
    /// ggml's, four bits and a least value.
    Q4_1,
    /// ggml's, five bits.
    Q5_0,
    /// ggml's, five bits and a least value.
    Q5_1,
    /// ggml's, eight bits.
    Q8_0,
    /// ggml's, four bits, with scales in six.
    Q4_K,
    /// ggml's, five bits, with scales in six.
    Q5_K,
    /// ggml's, six bits, with scales in eight.
    Q6_K,
}

impl PackedFormat {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Nf4,
        Self::Nf4Double,
        Self::Int8,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q8_0,
        Self::Q4_K,
        Self::Q5_K,
        Self::Q6_K,
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nf4 => "nf4",
            Self::Nf4Double => "nf4 with scales in eight bits",
            Self::Int8 => "int8",
            Self::Q4_0 => "q4_0",
            Self::Q4_1 => "q4_1",
            Self::Q5_0 => "q5_0",
            Self::Q5_1 => "q5_1",
            Self::Q8_0 => "q8_0",
            Self::Q4_K => "q4_k",
            Self::Q5_K => "q5_k",
            Self::Q6_K => "q6_k",
        }
    }

    /// The one of ggml's that blocks of a type are, unless they are plain numbers.
    pub fn of_ggml(ty: TensorType) -> Option<Self> {
        Self::ALL.into_iter().find(|own| own.ggml() == Some(ty))
    }

    /// The type of ggml's that it is.
    pub(super) fn ggml(self) -> Option<TensorType> {
        Some(match self {
            Self::Nf4 | Self::Nf4Double | Self::Int8 => return None,
            Self::Q4_0 => TensorType::Q4_0,
            Self::Q4_1 => TensorType::Q4_1,
            Self::Q5_0 => TensorType::Q5_0,
            Self::Q5_1 => TensorType::Q5_1,
            Self::Q8_0 => TensorType::Q8_0,
            Self::Q4_K => TensorType::Q4_K,
            Self::Q5_K => TensorType::Q5_K,
            Self::Q6_K => TensorType::Q6_K,
        })
    }

    /// Bytes of so many values; a last block is filled up. None where there are too many.
    pub fn bytes(self, values: usize) -> Option<usize> {
        match self {
            Self::Nf4 => values.div_ceil(nf4::VALUES).checked_mul(nf4::BYTES),
            Self::Nf4Double => nf4_double::bytes(values.div_ceil(nf4::VALUES)),
            Self::Int8 => values.div_ceil(int8::VALUES).checked_mul(int8::BYTES),
            Self::Q4_0
            | Self::Q4_1
            | Self::Q5_0
            | Self::Q5_1
            | Self::Q8_0
            | Self::Q4_K
            | Self::Q5_K
            | Self::Q6_K => {
                let ty = self.ggml()?;
                ty.bytes(values.checked_next_multiple_of(ty.block_values())?)
            }
        }
    }

    /// Those that weights can be packed in here, in words.
    pub(super) fn made() -> String {
        let made = Self::ALL.into_iter().filter(|format| format.is_made());
        let names: Vec<&str> = made.map(Self::name).collect();
        names.join(", ")
    }

    /// Whether weights can be packed in it here.
    pub(super) fn is_made(self) -> bool {
        matches!(self, Self::Nf4 | Self::Nf4Double | Self::Q4_0 | Self::Q8_0)
    }

    /// Its number in the head of a tensor's memory.
    #[cfg(feature = "flex")]
    pub(crate) fn code(self) -> u32 {
        self as u32
    }

    /// The one of a number.
    #[cfg(feature = "flex")]
    pub(crate) fn of_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.code() == code)
    }
}

impl fmt::Display for PackedFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
