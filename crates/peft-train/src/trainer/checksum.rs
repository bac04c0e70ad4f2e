//! [`Checksums`]: a digest of each part of a state's file, which a tensor at its end holds.

use std::collections::BTreeMap;
use std::io;

use burn::tensor::DType;

use crate::Digest;

/// Bytes that are taken in at once, read or written: a divisor of what files are read in.
const PIECE: usize = 1 << 20;

/// The digests of parts by name, in their order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Checksums(BTreeMap<String, Digest>);

/// The digest of one part.
pub(super) struct Checksum(Digest);

impl Checksum {
    /// Of a part of this name and description, with no bytes yet.
    pub(super) fn new(name: &str, about: &str) -> Self {
        let mut digest = Digest::default();
        digest.add_bytes(name.as_bytes());
        digest.add_bytes(about.as_bytes());
        Self(digest)
    }

    /// Take bytes in: all of a part, or pieces of a multiple of [`PIECE`] and a last one.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        bytes
            .chunks(PIECE)
            .for_each(|piece| self.0.add_bytes(piece));
    }
}

impl Checksums {
    /// The bytes of the tensor that holds so many.
    pub(super) fn n_bytes(parts: usize) -> usize {
        parts * 16
    }

    pub(super) fn insert(&mut self, name: String, sum: Checksum) {
        self.0.insert(name, sum.0);
    }

    pub(super) fn write(&self, out: &mut dyn io::Write) -> io::Result<()> {
        self.0
            .values()
            .try_for_each(|digest| write!(out, "{digest}"))
    }

    /// The first part whose digest is not the one among these bytes.
    pub(super) fn damaged(&self, bytes: &[u8]) -> Option<&str> {
        let found = self.0.iter().zip(bytes.chunks(16));
        found
            .into_iter()
            .find(|((_, digest), bytes)| digest.to_string().as_bytes() != *bytes)
            .map(|((name, _), _)| name.as_str())
    }
}

/// Whether these bytes of numbers hold no infinity and no NaN.
pub(super) fn all_finite(bytes: &[u8], dtype: DType) -> bool {
    match dtype {
        DType::F64 => finite(bytes, u64::from_le_bytes, 0x7ff0 << 48),
        DType::F16 => finite(bytes, u16::from_le_bytes, 0x7c00),
        DType::BF16 => finite(bytes, u16::from_le_bytes, 0x7f80),
        _ => finite(bytes, u32::from_le_bytes, 0x7f80 << 16),
    }
}

/// Whether no number has all bits of its exponent set.
fn finite<const N: usize, W>(bytes: &[u8], of: impl Fn([u8; N]) -> W, exponent: W) -> bool
where
    W: Copy + PartialEq + std::ops::BitAnd<Output = W>,
{
    let (numbers, _) = bytes.as_chunks::<N>();
    // Without an early end, so that it is done on whole registers.
    let wrong = |number: &[u8; N]| of(*number) & exponent == exponent;
    numbers
        .iter()
        .fold(0_usize, |n, number| n + usize::from(wrong(number)))
        == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_finite_is_found_in_each_dtype() {
        let f32s =
            |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
        assert!(all_finite(&f32s(&[0.0, -1.0, f32::MAX, 1e-40]), DType::F32));
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(!all_finite(&f32s(&[0.0, wrong]), DType::F32));
            assert!(!all_finite(&f64::from(wrong).to_le_bytes(), DType::F64));
        }
        assert!(all_finite(&f64::MAX.to_le_bytes(), DType::F64));
        for (bits, f16, bf16) in [
            (0x7c00_u16, false, true),
            (0xfe00, false, true),
            (0x7f80, false, false),
            (0x7bff, true, true),
        ] {
            assert_eq!(all_finite(&bits.to_le_bytes(), DType::F16), f16);
            assert_eq!(all_finite(&bits.to_le_bytes(), DType::BF16), bf16);
        }
    }

    #[test]
    fn a_part_has_one_digest_whole_and_in_pieces() {
        let bytes: Vec<u8> = (0..3 * PIECE + 5).map(|i| (i * 7 % 251) as u8).collect();
        let of = |pieces: usize| {
            let mut sum = Checksum::new("a", "f32");
            bytes.chunks(pieces).for_each(|piece| sum.add(piece));
            sum.0
        };
        assert_eq!(of(bytes.len()), of(PIECE));
        assert_eq!(of(bytes.len()), of(2 * PIECE));
        let mut other = bytes.clone();
        other[PIECE + 3] ^= 1;
        let mut sum = Checksum::new("a", "f32");
        sum.add(&other);
        assert_ne!(sum.0, of(bytes.len()));
    }
}
