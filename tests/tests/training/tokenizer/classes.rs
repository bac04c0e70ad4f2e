//! Tokenizers as transformers' classes make them of the files, which they read in part (`tests/goldens/make_tokenizer_classes.py`).

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use peft_train::{EncodeSpecial, TextTokenizer, TrainError};
use serde_json::{Value, json};

use super::read;

fn goldens() -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("goldens/tokens/classes.json");
    serde_json::from_str(&fs::read_to_string(path).expect("the golden is there")).expect("JSON")
}

/// The tokenizer of a case: one that cases share, with what it changes and with the files beside it.
fn of(golden: &Value, case: &Value) -> Result<TextTokenizer, TrainError> {
    let mut tokenizer = golden["tokenizers"][case["tokenizer"].as_str().expect("a name")].clone();
    for (part, value) in case["changes"].as_object().expect("changes") {
        tokenizer[part] = value.clone();
    }
    let files = case["files"].as_object().expect("files");
    let mut files: Vec<(&str, &Value)> = files.iter().map(|(n, v)| (n.as_str(), v)).collect();
    files.push(("tokenizer.json", &tokenizer));
    read(&files)
}

#[test]
fn tokens_are_those_of_the_class() {
    let golden = goldens();
    let texts = golden["texts"].as_array().expect("texts");
    let (mut classes, mut encoded, mut refused) = (BTreeSet::new(), 0, 0);
    let mut wrong = Vec::new();
    for (name, case) in golden["cases"].as_object().expect("cases") {
        let found = of(&golden, case);
        if case.get("error").is_some() {
            let error = found.expect_err(name).to_string();
            assert!(error.contains("tokenizer.json"), "{error}");
            refused += 1;
            continue;
        }
        let tokenizer = found.unwrap_or_else(|error| panic!("{name}: {error}"));
        classes.insert(case["kind"].as_str().expect("a class"));
        for (text, ids) in texts.iter().zip(case["ids"].as_array().expect("ids")) {
            let text = text.as_str().expect("a text");
            let found = tokenizer.encode(text, EncodeSpecial::Both).expect(name);
            if json!(found) != *ids {
                wrong.push(format!("{name}: {text:?}: {found:?}, expected {ids}"));
            }
            encoded += 1;
        }
        let ids: Vec<u32> = serde_json::from_value(case["ids"][1].clone()).expect("numbers");
        let decoded = tokenizer.decode(&ids).expect(name);
        if decoded != case["decoded"] {
            wrong.push(format!("{name}: {decoded:?}, expected {}", case["decoded"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        classes.len() >= 12 && encoded > 1400 && refused == 1,
        "{classes:?}, {encoded}, {refused}"
    );
}
