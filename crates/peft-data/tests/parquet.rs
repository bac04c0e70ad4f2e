//! Parquet files, those that `make_parquet.py` wrote.
#![cfg(feature = "parquet")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{damaged, read};
use peft_data::Rows;

fn golden(name: &str) -> PathBuf {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    goldens.join(name)
}

const FILES: [&str; 4] = [
    "snappy.parquet",
    "zstd.parquet",
    "gzip.parquet",
    "plain.parquet",
];

#[test]
fn rows_are_those_of_json() {
    let expected = read(&golden("parquet.jsonl")).expect("rows");
    let dir = tempfile::tempdir().expect("a directory");
    for name in FILES {
        let file = golden(name);
        assert_eq!(read(&file), Ok(expected.clone()), "{name}");
        let rows = Rows::open(&file).expect("it opens");
        assert!(rows.has_nulls() && !rows.is_text());
        let places: Vec<String> = rows.map(|row| row.expect("a row").at.to_string()).collect();
        assert_eq!(places, ["row 1", "row 2", "row 3"]);
        // Its bytes tell what it is.
        let other = dir.path().join("rows.jsonl");
        fs::copy(&file, &other).expect("it is copied");
        assert_eq!(read(&other), Ok(expected.clone()));
    }
}

#[test]
fn damaged_files_are_read_or_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    for name in FILES {
        let sound = fs::read(golden(name)).expect("a file");
        damaged(&dir.path().join("a.parquet"), &sound, 1500);
    }
}
