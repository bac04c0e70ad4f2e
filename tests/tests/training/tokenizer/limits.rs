//! Tokenizers of strangers: what a file asks for is bounded, and what its library panics on is the
//! file's fault.

use std::time::Instant;

use peft_train::{EncodeSpecial, TextEncoding, TextTokenizer, TrainError};
use serde_json::{Value, json};

use super::{read, read_text, words};

fn with(field: &str, value: Value) -> Result<TextTokenizer, TrainError> {
    let mut tokenizer = words(&["<unk>", "</s>", "a"]);
    tokenizer[field] = value;
    read(&[("tokenizer.json", &tokenizer)])
}

fn refused(field: &str, value: Value) -> String {
    let error = with(field, value).expect_err("it is refused").to_string();
    assert!(error.contains("tokenizer.json"), "{error}");
    error
}

fn replace(pattern: &str, content: &str) -> Value {
    json!({ "type": "Replace", "pattern": { "String": pattern }, "content": content })
}

fn sequence(part: &str, steps: Vec<Value>) -> Value {
    json!({ "type": "Sequence", part: steps })
}

#[test]
fn steps_that_double_a_text_are_refused() {
    let doubling = vec![replace("a", "aa"); 60];
    let error = refused("normalizer", sequence("normalizers", doubling.clone()));
    assert!(error.contains("times as long"), "{error}");
    refused("decoder", sequence("decoders", doubling));
    let empty = json!({ "type": "Replace", "pattern": { "Regex": "x*" }, "content": "y" });
    refused("normalizer", sequence("normalizers", vec![empty; 60]));
    let prepend = json!({ "type": "Prepend", "prepend": "a".repeat(5000) });
    refused("normalizer", prepend);
    let bytes = json!({
        "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": false,
    });
    refused(
        "pre_tokenizer",
        sequence("pretokenizers", vec![bytes.clone(); 40]),
    );
    // What the field's files do.
    let llama = sequence(
        "normalizers",
        vec![
            json!({ "type": "Prepend", "prepend": "▁" }),
            replace(" ", "▁"),
        ],
    );
    with("normalizer", llama).expect("a tokenizer");
    with("pre_tokenizer", bytes).expect("a tokenizer");
}

#[test]
fn steps_within_steps_are_counted() {
    let mut nested = json!({ "type": "Lowercase" });
    for _ in 0..40 {
        nested = sequence("normalizers", vec![nested]);
    }
    let start = Instant::now();
    let error = refused("normalizer", nested.clone());
    assert!(error.contains("deep"), "{error}");
    let deeper = [
        r#"{"type":"Sequence","normalizers":["#.repeat(50_000),
        "]}".repeat(50_000),
    ];
    let tokenizer = words(&["<unk>", "</s>", "a"]).to_string();
    let tokenizer = tokenizer.replacen(
        r#""normalizer":null"#,
        &format!(r#""normalizer":{}"#, deeper.concat()),
        1,
    );
    let error = read_text(&tokenizer)
        .expect_err("it is refused")
        .to_string();
    assert!(error.contains("recursion limit"), "{error}");
    refused(
        "normalizer",
        sequence("normalizers", vec![json!({ "type": "NFC" }); 10_000]),
    );
    assert!(start.elapsed().as_secs() < 20);
}

#[test]
fn panics_are_the_files_fault() {
    // The library looks the token up without asking.
    let text = json!({ "Sequence": { "id": "A", "type_id": 0 } });
    let special = json!({ "SpecialToken": { "id": "<s>", "type_id": 0 } });
    let processor = json!({
        "type": "TemplateProcessing", "single": [special, text], "pair": [], "special_tokens": {},
    });
    refused("post_processor", processor);
    refused(
        "model",
        json!({ "type": "Unigram", "unk_id": 0, "vocab": [] }),
    );
    refused(
        "model",
        json!({ "type": "Unigram", "unk_id": 7, "vocab": [["a", -1.0]] }),
    );
    refused(
        "model",
        json!({ "type": "BPE", "vocab": { "a": 0 }, "merges": ["a b"] }),
    );
    let map = json!({ "type": "Precompiled", "precompiled_charsmap": "AAAA" });
    refused("normalizer", map);
    refused("model", json!(null));
    refused("model", json!([]));
    refused("added_tokens", json!([{ "id": -1, "content": "x" }]));
    refused(
        "pre_tokenizer",
        json!({ "type": "Split", "pattern": { "Regex": "(" }, "behavior": "Isolated", "invert": false }),
    );
    let backreference = json!({ "type": "Split", "pattern": { "Regex": r"((a|a)*)\1c" }, "behavior": "Isolated", "invert": false });
    assert!(refused("pre_tokenizer", backreference).contains("backreference"));
    let mut tokenizer = words(&["<unk>", "</s>", "a"]);
    tokenizer["model"] = json!({
        "type": "WordPiece", "vocab": { "[UNK]": 0, "a": 1 }, "unk_token": "[UNK]",
        "continuing_subword_prefix": "##", "max_input_chars_per_word": u64::MAX,
    });
    let error = read(&[("tokenizer.json", &tokenizer)]).expect_err("it is refused");
    assert!(
        error.to_string().contains("max_input_chars_per_word"),
        "{error}"
    );
}

/// To look for a token in each text takes time that grows with the token.
#[test]
fn a_token_has_a_bounded_length() {
    let sound = words(&["<unk>", "</s>", "a"]);
    let long = "x".repeat(1025);
    let mut broken = sound.clone();
    broken["added_tokens"] = json!([{
        "id": 9, "content": &long, "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false, "special": true,
    }]);
    let config = json!({ "eos_token": &long });
    let decoder = json!({ "added_tokens_decoder": { "9": { "content": &long } } });
    let added = json!({ &long: 9 });
    let mut padded = sound.clone();
    padded["padding"] = json!({
        "strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": null,
        "pad_id": 0, "pad_type_id": 0, "pad_token": &long,
    });
    for (name, file) in [
        ("tokenizer.json", &broken),
        ("tokenizer.json", &padded),
        ("tokenizer_config.json", &config),
        ("tokenizer_config.json", &decoder),
        ("special_tokens_map.json", &config),
        ("added_tokens.json", &added),
    ] {
        let files = [("tokenizer.json", &sound), (name, file)];
        let error = read(&files).expect_err("it is refused").to_string();
        assert!(error.contains(name), "{error}");
        assert!(error.contains("1025 bytes"), "{error}");
    }
}

/// Files beside it are objects, and files: to read a pipe may never end.
#[test]
fn files_beside_it_are_checked() {
    let tokenizer = words(&["<unk>", "</s>", "a"]);
    for name in [
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "generation_config.json",
        "config.json",
    ] {
        for value in [json!([]), json!("x"), json!(3)] {
            let error = read(&[("tokenizer.json", &tokenizer), (name, &value)]);
            let error = error.expect_err("it is refused").to_string();
            assert!(error.contains(name), "{error}");
        }
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("tokenizer.json");
        std::fs::write(file, tokenizer.to_string()).expect("it is written");
        std::fs::create_dir(dir.path().join(name)).expect("a folder");
        let error = TextTokenizer::from_dir(dir.path()).expect_err("it is refused");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn settings_of_padding_and_truncation_are_not_followed() {
    let truncation = json!({
        "direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 0,
    });
    let tokenizer = with("truncation", truncation).expect("a tokenizer");
    let ids = tokenizer.encode("a a a", EncodeSpecial::Both);
    assert_eq!(ids.expect("it encodes"), [2, 2, 2]);
    let padding = json!({
        "strategy": { "Fixed": u64::MAX }, "direction": "Right", "pad_to_multiple_of": 0,
        "pad_id": 9, "pad_type_id": 0, "pad_token": "a",
    });
    let tokenizer = with("padding", padding).expect("a tokenizer");
    let ids = tokenizer.encode("a", EncodeSpecial::Both);
    assert_eq!(ids.expect("it encodes"), [2]);
}

#[test]
fn decoding_passes_over_what_there_is_not() {
    let tokenizer = with("decoder", Value::Null).expect("a tokenizer");
    assert_eq!(tokenizer.decode(&[]).expect("it decodes"), "");
    let ids = [2, 99, u32::MAX, 1, 2];
    assert_eq!(tokenizer.decode(&ids).expect("it decodes"), "a a");
}

/// A long text is read as far as its tokens are wanted, and no further.
#[test]
fn a_long_text_is_not_read_to_its_end() {
    let tokenizer = with("decoder", Value::Null).expect("a tokenizer");
    let text = "a b ".repeat(2 << 20);
    let start = Instant::now();
    for at_most in [1, 7, 100] {
        let found = tokenizer.encode_with_offsets(&text, EncodeSpecial::Both, at_most);
        let found = found.expect("it encodes");
        assert_eq!(found.len(), at_most);
        for (i, token) in found.iter().enumerate() {
            let expected = ([2, 0][i % 2], 2 * i..2 * i + 1);
            assert_eq!((token.id, token.bytes.clone()), expected);
        }
        let TextEncoding { ids, cut, .. } = tokenizer
            .encode_within(&text, None, at_most)
            .expect("it encodes");
        assert!(cut && ids.len() == at_most);
    }
    // Nor is one without white space, by a tokenizer of letters.
    let mut letters = words(&["<unk>", "</s>", "a"]);
    letters["pre_tokenizer"] = Value::Null;
    letters["model"] =
        json!({ "type": "BPE", "vocab": { "a": 0, "b": 1, "ab": 2 }, "merges": ["a b"] });
    let letters = read(&[("tokenizer.json", &letters)]).expect("a tokenizer");
    let text = "abb".repeat(4 << 20);
    let found = letters.encode_with_offsets(&text, EncodeSpecial::Both, 40);
    let ids: Vec<u32> = found
        .expect("it encodes")
        .iter()
        .map(|token| token.id)
        .collect();
    assert_eq!(ids, [2, 1].repeat(20));
    assert!(start.elapsed().as_secs() < 5);
    // The whole of a text that is too long is an error, and neither a panic nor more memory than
    // there is.
    let whole = tokenizer.encode(&"a".repeat(200 << 20), EncodeSpecial::Both);
    assert!(
        whole
            .expect_err("it is refused")
            .to_string()
            .contains("longer than")
    );
}
