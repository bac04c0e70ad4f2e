//! [`Digest`]: a number that tells one sequence of numbers from another.

use std::fmt;

/// FNV-1a over 64-bit words: the same on every machine and in every version, which the standard
/// library's hashers do not promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    /// Take a number in.
    pub fn add(&mut self, value: u64) {
        self.0 = (self.0 ^ value).wrapping_mul(0x0100_0000_01b3);
    }

    /// Take bytes in, and how many.
    pub fn add_bytes(&mut self, bytes: &[u8]) {
        self.add(bytes.len() as u64);
        self.add_words(bytes);
    }

    /// Take bytes in as words of eight, the last of them filled with zeros: what
    /// [`add_bytes`](Self::add_bytes) does after their number, so that many can be taken in by
    /// parts of whole words.
    pub fn add_words(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        let last = (!rest.is_empty()).then_some(&last);
        for word in words.iter().chain(last) {
            let value = u64::from_le_bytes(*word);
            // The product carries upwards only: what differs in the upper half alone must reach the
            // lower.
            self.add(value ^ value >> 32);
        }
    }

    /// The number.
    pub fn value(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
