//! What is read of files, by format: sound files and their readers, for `peft_mutate` and `fuzz/`.

mod adapters;
mod checkpoints;
mod encoders;
mod gguf;
mod rows;
mod states;
mod tokenizers;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

pub use adapters::{adapters, trained};
pub use checkpoints::checkpoints;
pub use encoders::encoder_adapters;
pub use gguf::{gguf, gguf_checkpoints};
pub use rows::{files_of_rows, generation, labels, rows};
pub use states::{states, texts_of_states};
pub use tokenizers::{templates, tokenizers};

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens")
}

/// These files of a directory, those of them that are there.
fn files(dir: &Path, names: &[&str]) -> BTreeMap<String, Vec<u8>> {
    let read = |name: &&str| Some(((*name).to_owned(), fs::read(dir.join(name)).ok()?));
    names.iter().filter_map(read).collect()
}
