//! [`FloatType`]: floats as bytes, the least one first.

use half::{bf16, f16};

/// A type of floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FloatType {
    /// Numbers of 64 bits.
    F64,
    /// Numbers of 32 bits.
    F32,
    /// Halves: 5 bits of exponent, 10 of mantissa.
    F16,
    /// The upper halves of numbers of 32 bits.
    BF16,
}

impl FloatType {
    /// The numbers of these bytes in f32; bytes behind the last whole one are left out.
    pub fn decode(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::F64 => numbers(bytes, |b| f64::from_le_bytes(b) as f32),
            Self::F32 => numbers(bytes, f32::from_le_bytes),
            Self::F16 => numbers(bytes, f16_to_f32),
            Self::BF16 => numbers(bytes, bf16_to_f32),
        }
    }

    /// The bytes of these numbers.
    pub fn encode(self, values: &[f32]) -> Vec<u8> {
        match self {
            Self::F64 => bytes(values, |value| f64::from(value).to_le_bytes()),
            Self::F32 => bytes(values, f32::to_le_bytes),
            Self::F16 => bytes(values, f32_to_f16),
            Self::BF16 => bytes(values, f32_to_bf16),
        }
    }

    /// How many of these numbers are NaN or infinite: those whose exponent is all ones.
    pub fn count_not_finite(self, bytes: &[u8]) -> usize {
        match self {
            Self::F64 => count(bytes, u64::from_le_bytes, 0x7ff0 << 48),
            Self::F32 => count(bytes, u32::from_le_bytes, 0x7f80 << 16),
            Self::F16 => count(bytes, u16::from_le_bytes, 0x7c00),
            Self::BF16 => count(bytes, u16::from_le_bytes, 0x7f80),
        }
    }
}

/// The half of these bytes.
#[inline]
pub fn f16_to_f32(bytes: [u8; 2]) -> f32 {
    f16::from_le_bytes(bytes).to_f32()
}

/// The number whose upper half these bytes are.
#[inline]
pub fn bf16_to_f32([low, high]: [u8; 2]) -> f32 {
    f32::from_le_bytes([0, 0, low, high])
}

/// The bytes of the nearest half.
#[inline]
pub fn f32_to_f16(value: f32) -> [u8; 2] {
    f16::from_f32(value).to_le_bytes()
}

/// The bytes of the nearest number that is an upper half.
#[inline]
pub fn f32_to_bf16(value: f32) -> [u8; 2] {
    bf16::from_f32(value).to_le_bytes()
}

fn numbers<const N: usize>(bytes: &[u8], of: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    let (numbers, _) = bytes.as_chunks::<N>();
    numbers.iter().map(|bytes| of(*bytes)).collect()
}

fn bytes<const N: usize>(values: &[f32], of: impl Fn(f32) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|value| of(*value)).collect()
}

fn count<const N: usize, W>(bytes: &[u8], of: impl Fn([u8; N]) -> W, exponent: W) -> usize
where
    W: Copy + PartialEq + std::ops::BitAnd<Output = W>,
{
    let (numbers, _) = bytes.as_chunks::<N>();
    // Without an early end, so that it is done on whole registers.
    let wrong = |bytes: &[u8; N]| of(*bytes) & exponent == exponent;
    let wrong = numbers.iter().map(|bytes| usize::from(wrong(bytes)));
    wrong.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [FloatType; 4] = [
        FloatType::F64,
        FloatType::F32,
        FloatType::F16,
        FloatType::BF16,
    ];

    #[test]
    fn what_is_not_finite_is_counted_in_each_type() {
        for ty in ALL {
            let wrong = [f32::NAN, 0.0, f32::INFINITY, -1.0, f32::NEG_INFINITY];
            assert_eq!(ty.count_not_finite(&ty.encode(&wrong)), 3, "{ty:?}");
            let sound = ty.encode(&[0.0, -1.0, 1e-40, 65_504.0]);
            assert_eq!(ty.count_not_finite(&sound), 0, "{ty:?}");
        }
        let largest = f64::MAX.to_le_bytes();
        assert_eq!(FloatType::F64.count_not_finite(&largest), 0);
        for (bits, f16, bf16) in [
            (0x7c00_u16, 1, 0),
            (0xfe00, 1, 0),
            (0x7f80, 1, 1),
            (0x7bff, 0, 0),
        ] {
            let bytes = bits.to_le_bytes();
            assert_eq!(FloatType::F16.count_not_finite(&bytes), f16);
            assert_eq!(FloatType::BF16.count_not_finite(&bytes), bf16);
        }
    }

    #[test]
    fn numbers_are_read_as_they_are_written() {
        let values = [0.0, -1.5, 3.140625, f32::INFINITY];
        for ty in ALL {
            assert_eq!(ty.decode(&ty.encode(&values)), values, "{ty:?}");
        }
        let all: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        let known = |to: fn(u16) -> f32| (0..=u16::MAX).map(to).collect::<Vec<f32>>();
        let bits = |values: Vec<f32>| {
            let values = values.into_iter().filter(|value| !value.is_nan());
            values.map(f32::to_bits).collect::<Vec<u32>>()
        };
        let f16s = known(|bits| f16::from_bits(bits).to_f32());
        assert_eq!(bits(FloatType::F16.decode(&all)), bits(f16s));
        let bf16s = known(|bits| bf16::from_bits(bits).to_f32());
        assert_eq!(bits(FloatType::BF16.decode(&all)), bits(bf16s));
    }
}
