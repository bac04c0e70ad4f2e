//! [`mutate`]: a file with a seeded change, by its format.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use crate::{bytes, json};

/// The bytes of a file with the change of this seed. Its name says what they are; `donors` are
/// other files of that name, whose parts may come in.
pub fn mutate(seed: u64, name: &str, file: &[u8], donors: &[&[u8]]) -> Vec<u8> {
    let rng = &mut StdRng::seed_from_u64(seed);
    let by_format = rng.random_range(0..4) > 0;
    let changed = match name.rsplit_once('.') {
        Some((_, "json")) if by_format => in_json(rng, file, donors),
        Some((_, "jsonl")) if by_format => in_lines(rng, file),
        Some((_, "safetensors")) if by_format => in_header(rng, file),
        Some((_, "gguf")) if by_format => Some(in_numbers(rng, file)),
        _ => None,
    };
    changed.unwrap_or_else(|| {
        let mut file = file.to_vec();
        for _ in 0..rng.random_range(1..4) {
            bytes::change(rng, &mut file);
        }
        file
    })
}

fn in_json(rng: &mut StdRng, file: &[u8], donors: &[&[u8]]) -> Option<Vec<u8>> {
    let donors: Vec<Value> = donors
        .iter()
        .filter_map(|donor| serde_json::from_slice(donor).ok())
        .collect();
    let file = serde_json::from_slice(file).ok()?;
    Some(json::change(rng, file, &donors).into_bytes())
}

/// In one line.
fn in_lines(rng: &mut StdRng, file: &[u8]) -> Option<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = file
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    let i = rng.random_range(0..lines.len());
    let line = serde_json::from_slice(&lines[i]).ok()?;
    lines[i] = json::change(rng, line, &[]).into_bytes();
    Some(lines.join(&b'\n'))
}

/// In the header, whose length is that of the changed one but for one time in eight.
fn in_header(rng: &mut StdRng, file: &[u8]) -> Option<Vec<u8>> {
    let length = usize::try_from(u64::from_le_bytes(file.first_chunk().copied()?)).ok()?;
    let (header, data) = file.get(8..)?.split_at_checked(length)?;
    let header = json::change(rng, serde_json::from_slice(header).ok()?, &[]);
    let length = match rng.random_range(0..8) {
        0 => rng.random_range(0..u64::MAX) >> rng.random_range(0..64),
        _ => header.len() as u64,
    };
    Some([&length.to_le_bytes(), header.as_bytes(), data].concat())
}

/// Numbers of 4 or 8 bytes where lengths, counts, types and places are: all of them lie before the
/// tensors, and half of the changes in the first bytes.
fn in_numbers(rng: &mut StdRng, file: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    for _ in 0..rng.random_range(1..3) {
        let end = match rng.random_range(0..4) {
            0 | 1 => file.len().min(256),
            2 => file.len().min(8192),
            _ => file.len(),
        };
        let at = rng.random_range(0..=end);
        let size = file.len() as u64;
        let number = match rng.random_range(0..4) {
            0 => rng.random_range(0..16),
            1 => rng.random_range(0..u64::MAX) >> rng.random_range(0..64),
            2 => size - size.min(rng.random_range(0..64)),
            _ => [u64::MAX, 1 << 63, 1 << 32, u64::from(u32::MAX)][rng.random_range(0..4)],
        };
        let width = [4, 8][rng.random_range(0..2)];
        let number = number.to_le_bytes();
        for (byte, new) in file.iter_mut().skip(at).zip(&number[..width]) {
            *byte = *new;
        }
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_change() {
        let file = br#"{"a": [1, 2], "b": "c"}"#;
        let all = |name| (0..200).map(move |seed| mutate(seed, name, file, &[file]));
        for name in ["a.json", "a.toml", "a.gguf"] {
            assert!(all(name).eq(all(name)), "{name}");
            let changed = all(name).filter(|changed| changed != file).count();
            assert!(changed > 150, "{name}: {changed}");
        }
    }
}
