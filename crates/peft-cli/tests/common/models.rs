//! Models of every kind in one directory, and commands that are refused in it.
#![allow(dead_code, unreachable_pub)]

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::Place;

/// A classifier of texts with three labels, and one of words, beside a decoder and its rows.
pub fn place() -> Place {
    let place = Place::new();
    let encoders = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens/encoders");
    for (name, of) in [
        ("texts", "bert_sequence"),
        ("words", "bert_token"),
        ("values", "bert_regression"),
        ("bare", "roberta"),
    ] {
        fs::create_dir(place.path(name)).expect("a directory");
        for file in ["config.json", "model.safetensors"] {
            let to = place.path(name).join(file);
            fs::copy(encoders.join(of).join(file), to).expect("it is copied");
        }
        let tokenizer = json!({
            "version": "1.0", "added_tokens": [], "normalizer": null,
            "pre_tokenizer": {"type": "Whitespace"}, "decoder": null,
            "post_processor": {"type": "BertProcessing", "sep": ["s", 3], "cls": ["c", 2]},
            "model": {"type": "WordLevel", "unk_token": "x", "vocab":
                {"x": 1, "c": 2, "s": 3, "red": 4, "blue": 5, "beyond": 9000}},
        });
        let to = place.path(name).join("tokenizer.json");
        fs::write(to, tokenizer.to_string()).expect("it is written");
    }
    write(
        &place,
        "good.jsonl",
        &[
            r#"{"text": "red", "label": "bad"}"#,
            r#"{"text": "blue", "label": "good"}"#,
        ],
    );
    write(
        &place,
        "tags.jsonl",
        &[r#"{"tokens": ["red", "blue"], "tags": ["O", "P"]}"#],
    );
    place
}

/// A file of rows.
pub fn write(place: &Place, name: &str, rows: &[&str]) {
    fs::write(place.path(name), rows.join("\n")).expect("it is written");
}

/// The message of a command that exits with 2.
#[track_caller]
pub fn refused(place: &Place, words: &str, part: &str) {
    let message = place.refuses(&words.split_whitespace().collect::<Vec<_>>());
    assert!(
        message.contains(part),
        "{words}: `{part}` is not in {message}"
    );
    assert!(!message.contains("panicked"), "{words}: {message}");
}

/// Change a file of JSON.
pub fn edit(place: &Place, file: &str, change: impl FnOnce(&mut Value)) {
    let text = fs::read(place.path(file)).expect("a file");
    let mut value: Value = serde_json::from_slice(&text).expect("JSON");
    change(&mut value);
    fs::write(place.path(file), value.to_string()).expect("it is written");
}
