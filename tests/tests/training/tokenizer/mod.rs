//! Tokenizers: their tokens and special tokens, and what is refused.

mod limits;
mod offsets;
mod special;

use std::fs;

use peft_train::{TextTokenizer, TrainError};
use serde_json::{Value, json};

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

/// Words by their place in the list, apart at white space, without a post-processor. Those in `<>` are special.
pub(crate) fn words(words: &[&str]) -> Value {
    let vocab: serde_json::Map<String, Value> = words
        .iter()
        .enumerate()
        .map(|(i, word)| ((*word).to_owned(), i.into()))
        .collect();
    let special = words.iter().enumerate();
    let special = special.filter(|(_, word)| word.starts_with('<') && word.ends_with('>'));
    let added: Vec<Value> = special
        .map(|(i, word)| {
            json!({
                "id": i, "content": word, "special": true, "normalized": false,
                "single_word": false, "lstrip": false, "rstrip": false,
            })
        })
        .collect();
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": null, "pre_tokenizer": { "type": "WhitespaceSplit" },
        "post_processor": null, "decoder": null,
        "model": { "type": "WordLevel", "vocab": vocab, "unk_token": words[0] },
    })
}
