//! Tokenizers: their tokens and special tokens, and what is refused.

mod classes;
mod limits;
mod offsets;
mod special;

use std::fs;

pub(crate) use peft_tests::words;
use peft_train::{TextTokenizer, TrainError};
use serde_json::Value;

/// A tokenizer of these files.
pub(crate) fn read(files: &[(&str, &Value)]) -> Result<TextTokenizer, TrainError> {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, value) in files {
        fs::write(dir.path().join(name), value.to_string()).expect("it is written");
    }
    TextTokenizer::from_dir(dir.path())
}

/// A tokenizer of one file of this text.
pub(crate) fn read_text(text: &str) -> Result<TextTokenizer, TrainError> {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("tokenizer.json"), text).expect("it is written");
    TextTokenizer::from_dir(dir.path())
}
