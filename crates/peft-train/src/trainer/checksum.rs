//! [`Checksums`]: a digest of each part of a state's file, which a tensor at its end holds.

use std::collections::BTreeMap;
use std::io;

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

#[cfg(test)]
mod tests {
    use super::*;

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
