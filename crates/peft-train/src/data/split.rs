//! [`Dataset::split`]: some rows for validation.

use std::ffi::OsStr;
use std::path::Path;

use peft_core::Digest;

use super::Dataset;
use crate::TrainError;

impl Dataset {
    /// The rows in two: those that stay, and about the fraction `taken` of them for validation.
    /// Which these are is decided for each row by the name of its file, its place there and the
    /// seed, so it does not depend on what other rows there are.
    ///
    /// # Errors
    ///
    /// [`TrainError::Setting`] for a fraction that is not between 0 and 1, and where no row is left
    /// on one side.
    pub fn split(&self, taken: f64, seed: u64) -> Result<(Self, Self), TrainError> {
        let wrong = |expected| TrainError::Setting {
            field: "split",
            value: taken.to_string(),
            expected,
        };
        if !(taken > 0.0 && taken < 1.0) {
            return Err(wrong("a fraction between 0 and 1"));
        }
        let is_taken = |row: usize| {
            let (file, at) = self.place(row);
            let mut digest = Digest::default();
            digest.add(seed);
            let name = Path::file_name(file).unwrap_or(OsStr::new(""));
            digest.add_bytes(name.as_encoded_bytes());
            digest.add(at.number());
            share(digest) < taken
        };
        let taken_rows: Vec<bool> = (0..self.len()).map(is_taken).collect();
        let n = taken_rows.iter().filter(|taken| **taken).count();
        if n == 0 || n == taken_rows.len() {
            return Err(wrong(
                "one that leaves rows on both sides: there are too few, or another seed is needed",
            ));
        }
        Ok(self.parted(&taken_rows))
    }
}

/// A number from 0 to 1 for a digest.
fn share(digest: Digest) -> f64 {
    // The bits of a sum of products are mixed once more, so that neighbours are apart.
    let mut bits = digest.value();
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    (bits >> 11) as f64 / (1u64 << 53) as f64
}
