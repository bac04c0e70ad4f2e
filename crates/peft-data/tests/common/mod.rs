//! What tests of files share.
#![allow(dead_code, unreachable_pub)]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use peft_data::{MOST_COLUMNS, Rows};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("it is packed");
    encoder.finish().expect("it is packed")
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

/// Rows as a table, every cell in quotes.
pub fn table(rows: &[Value], delimiter: u8) -> String {
    let delimiter = char::from(delimiter).to_string();
    let line = |cells: Vec<String>| format!("{}\r\n", cells.join(&delimiter));
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let names = rows[0].as_object().expect("a row").keys();
    let mut text = line(names.map(|name| quoted(name)).collect());
    for row in rows {
        let cells = row.as_object().expect("a row").values();
        text += &line(
            cells
                .map(|cell| quoted(cell.as_str().expect("a string")))
                .collect(),
        );
    }
    text
}

/// All rows of a file, or the first thing that is wrong.
pub fn read(path: &Path) -> Result<Vec<Value>, String> {
    let rows = Rows::open(path).map_err(|error| error.to_string())?;
    rows.map(|row| {
        let row = row.map_err(|error| error.to_string())?;
        let named = |reason| format!("{}: {reason}", row.at);
        row.object.map(Value::Object).map_err(named)
    })
    .collect()
}

/// Reads a file with seeded changes. A panic fails the test by itself.
pub fn damaged(path: &Path, sound: &[u8], times: u64) {
    let (mut read_whole, mut refused) = (0, 0);
    for seed in 0..times {
        let mut random = StdRng::seed_from_u64(seed);
        let mut bytes = sound.to_vec();
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(0..bytes.len().max(1));
            match random.random_range(0..5) {
                0 => bytes.truncate(at),
                1 if !bytes.is_empty() => bytes[at] = random.random(),
                2 if !bytes.is_empty() => bytes[at] ^= 1 << random.random_range(0..8),
                3 => {
                    let end = (at + random.random_range(0..64)).min(bytes.len());
                    let part = bytes[at.min(end)..end].to_vec();
                    let to = random.random_range(0..=bytes.len());
                    bytes.splice(to..to, part);
                }
                _ => {
                    let end = (at + random.random_range(0..64)).min(bytes.len());
                    bytes.drain(at.min(end)..end);
                }
            }
        }
        fs::write(path, &bytes).expect("it is written");
        let started = Instant::now();
        match Rows::open(path) {
            Err(error) => {
                let name = path.file_name().expect("a name").to_string_lossy();
                assert!(error.to_string().contains(&*name), "{error}");
                refused += 1;
            }
            Ok(rows) => {
                let rows: Vec<_> = rows.collect();
                let wrong = |row: &Result<peft_data::FileRow, _>| match row {
                    Err(_) => true,
                    Ok(row) => row.object.is_err(),
                };
                match rows.iter().any(wrong) {
                    true => refused += 1,
                    false => read_whole += 1,
                }
                for row in rows.into_iter().flatten() {
                    assert!(row.object.map_or(0, |row| row.len()) <= MOST_COLUMNS);
                }
            }
        }
        assert!(started.elapsed() < Duration::from_secs(5), "seed {seed}");
    }
    // Both kinds of changes are among them.
    assert!(refused > 0 && read_whole > 0, "{refused} {read_whole}");
}
