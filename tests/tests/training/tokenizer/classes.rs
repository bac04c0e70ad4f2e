//! Tokenizers as transformers' classes make them of the files, which they read in part
//! (`tests/goldens/make_tokenizer_classes.py`).

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use peft_train::{EncodeSpecial, TextTokenizer, TrainError};
use serde_json::{Value, json};

use super::{read, words};

fn goldens() -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("goldens/tokens/classes.json");
    serde_json::from_str(&fs::read_to_string(path).expect("the golden is there")).expect("JSON")
}

/// The tokenizer of a case: one that cases share, with what it changes and with the files beside
/// it.
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

/// A class that is not known makes nothing of the file, and is named.
#[test]
fn a_class_that_is_not_known_is_named() {
    let tokenizer = goldens()["tokenizers"]["unigram"].clone();
    let class = |tokenizer: &Value, model: &str, class: Value| {
        let files = [
            ("tokenizer.json", tokenizer),
            ("config.json", &json!({ "model_type": model })),
            ("tokenizer_config.json", &class),
        ];
        let read = read(&files).expect("a tokenizer");
        read.unlike_class().map(str::to_owned)
    };
    let named = |name: &str| json!({ "tokenizer_class": name });
    for (model, config, unlike) in [
        ("deberta-v2", json!({}), Some("DebertaV2Tokenizer")),
        (
            "llama",
            named("AlbertTokenizerFast"),
            Some("AlbertTokenizer"),
        ),
        ("llama", named("PreTrainedTokenizerFast"), None),
        ("llama", named("OwnTokenizer"), None),
        ("xlm-roberta", json!({}), None),
        ("albert", named("PreTrainedTokenizerFast"), None),
    ] {
        assert_eq!(
            class(&tokenizer, model, config).as_deref(),
            unlike,
            "{model}"
        );
    }
    // None of the classes makes a vocabulary of whole words.
    let whole = words(&["<unk>", "</s>", "hi"]);
    let found = class(&whole, "gpt2", json!({}));
    assert_eq!(found.as_deref(), Some("GPT2Tokenizer"));
}

#[test]
fn what_a_class_cannot_be_made_of_is_refused_by_name() {
    let golden = goldens();
    let refused = |name: &str, change: &dyn Fn(&mut Value), config: Value| {
        let mut tokenizer = golden["tokenizers"][name].clone();
        change(&mut tokenizer);
        let files = [
            ("tokenizer.json", &tokenizer),
            ("tokenizer_config.json", &config),
        ];
        read(&files).expect_err("it is refused").to_string()
    };
    let named = |name: &str| json!({ "tokenizer_class": name });
    let no_model = |tokenizer: &mut Value| tokenizer["model"] = json!([]);
    let other_ends = |tokenizer: &mut Value| tokenizer["model"]["vocab"] = json!({ "[UNK]": 0 });
    let same = |_: &mut Value| ();
    for (error, part) in [
        (refused("bytes", &no_model, named("GPT2Tokenizer")), "model"),
        (refused("bytes", &same, named("T5Tokenizer")), "T5Tokenizer"),
        (
            refused(
                "wordpiece",
                &other_ends,
                json!({
                    "tokenizer_class": "BertTokenizer", "cls_token": null,
                }),
            ),
            "`cls_token`, which BertTokenizer",
        ),
        (
            refused(
                "unigram",
                &same,
                json!({
                    "tokenizer_class": "T5Tokenizer", "extra_ids": 5000,
                }),
            ),
            "extra_ids",
        ),
    ] {
        assert!(error.contains("tokenizer.json"), "{error}");
        assert!(error.contains(part), "{error}");
    }
}
