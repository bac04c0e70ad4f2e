//! Files with seeded changes, of every format that is read: each is read and used, or refused.
//!
//! `MUTATIONS=10000 cargo test -p peft-tests --test suite -- mutations` tries that many of each
//! kind.

mod adapters;
mod checkpoints;
mod rows;
mod states;
mod tokenizers;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use peft_mutate::check;

#[test]
fn changed_files_are_read_or_refused() {
    let device = peft_tests::device("flex");
    check(
        "mutations::changed_files_are_read_or_refused",
        &[
            checkpoints::kind(&device),
            adapters::kind(&device),
            adapters::trained(&device),
            states::kind(&device),
            states::text(&device),
            tokenizers::kind(),
            tokenizers::templates(),
            rows::kind(),
            rows::labels(),
            rows::generation(),
        ],
    );
}

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens")
}

/// These files of a directory, those of them that are there.
fn files(dir: &Path, names: &[&str]) -> BTreeMap<String, Vec<u8>> {
    let read = |name: &&str| Some(((*name).to_owned(), fs::read(dir.join(name)).ok()?));
    names.iter().filter_map(read).collect()
}
