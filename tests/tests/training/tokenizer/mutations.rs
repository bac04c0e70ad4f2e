//! Files of tokenizers with random changes: each is read and used, or refused; nothing panics.
//!
//! `TOKENIZER_MUTATIONS=20000` runs that many.

use std::path::PathBuf;

use peft_train::{EncodeSpecial, TextTokenizer};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::{read, words};

/// The tokenizers that are changed.
fn seeds() -> Vec<Value> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("goldens");
    let file = |name: &str| -> Value {
        let text = std::fs::read_to_string(root.join(name)).expect("the golden is there");
        serde_json::from_str(&text).expect("JSON")
    };
    let cases = file("tokens/cases.json");
    let mut unigram = words(&["<unk>", "</s>", "a"]);
    unigram["model"] = json!({
        "type": "Unigram", "unk_id": 0, "byte_fallback": false,
        "vocab": [["<unk>", 0.0], ["</s>", 0.0], ["▁a", -1.0], ["a", -2.0], ["b", -3.0]],
    });
    unigram["normalizer"] = json!({
        "type": "Sequence",
        "normalizers": [
            { "type": "NFKC" },
            { "type": "Replace", "pattern": { "Regex": " {2,}" }, "content": " " },
            { "type": "Prepend", "prepend": "▁" },
        ],
    });
    unigram["decoder"] = json!({
        "type": "Sequence",
        "decoders": [
            { "type": "Replace", "pattern": { "String": "▁" }, "content": " " },
            { "type": "ByteFallback" }, { "type": "Fuse" },
            { "type": "Strip", "content": " ", "start": 1, "stop": 0 },
        ],
    });
    let mut wordpiece = words(&["<unk>", "</s>", "a"]);
    wordpiece["model"] = json!({
        "type": "WordPiece", "unk_token": "<unk>", "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100, "vocab": { "<unk>": 0, "</s>": 1, "a": 2, "##b": 3 },
    });
    wordpiece["normalizer"] = json!({
        "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
        "strip_accents": null, "lowercase": true,
    });
    wordpiece["pre_tokenizer"] = json!({ "type": "BertPreTokenizer" });
    wordpiece["post_processor"] = json!({
        "type": "RobertaProcessing", "sep": ["</s>", 1], "cls": ["</s>", 1],
        "trim_offsets": true, "add_prefix_space": true,
    });
    wordpiece["decoder"] = json!({ "type": "WordPiece", "prefix": "##", "cleanup": true });
    let mut split = words(&["<unk>", "</s>", "a"]);
    split["pre_tokenizer"] = json!({
        "type": "Sequence",
        "pretokenizers": [
            { "type": "Split", "pattern": { "Regex": r"\p{N}{1,3}|\s+(?!\S)|\s+" }, "behavior": "Isolated", "invert": false },
            { "type": "Digits", "individual_digits": true },
            { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
        ],
    });
    let shared = &cases["tokenizers"];
    vec![
        shared["base"].clone(),
        shared["metaspace"].clone(),
        unigram,
        wordpiece,
        split,
    ]
}

/// Values that files are broken with.
fn odd(rng: &mut StdRng, donor: &Value) -> Value {
    match rng.random_range(0..14) {
        0 => Value::Null,
        1 => json!(-1),
        2 => json!(0),
        3 => json!(u32::MAX),
        4 => json!(u64::MAX),
        5 => json!(1.5e300),
        6 => json!(""),
        7 => json!("\u{0}▁\u{fffd}<0xFF>"),
        8 => json!([]),
        9 => json!({}),
        10 => json!(true),
        11 => json!("(a|a)*(?!b)"),
        12 => json!("a".repeat(3000)),
        _ => {
            let mut places = Vec::new();
            paths(donor, &mut Vec::new(), &mut places);
            let place = places.choose(rng).expect("there is a place");
            at(&mut donor.clone(), place).clone()
        }
    }
}

/// A value that may stand where another does.
fn alike(rng: &mut StdRng, value: &Value, donor: &Value) -> Value {
    match value {
        Value::Bool(flag) => json!(!flag),
        Value::Number(_) => {
            let numbers = [
                json!(0),
                json!(1),
                json!(7),
                json!(u32::MAX),
                json!(100_000),
            ];
            numbers.choose(rng).expect("there are some").clone()
        }
        Value::String(_) => {
            let texts = [
                "", "a", "▁", "##", "<s>", "</s>", "hi", "<0x61>", "\u{301}", "Ġ", " ",
            ];
            json!(texts.choose(rng).expect("there are some"))
        }
        Value::Null | Value::Array(_) | Value::Object(_) => odd(rng, donor),
    }
}

#[derive(Clone)]
enum Step {
    Key(String),
    Index(usize),
}

/// The places in a file.
fn paths(value: &Value, here: &mut Vec<Step>, out: &mut Vec<Vec<Step>>) {
    out.push(here.clone());
    let mut below = |step: Step, value: &Value| {
        here.push(step);
        paths(value, here, out);
        here.pop();
    };
    match value {
        Value::Array(list) => {
            for (i, value) in list.iter().enumerate() {
                below(Step::Index(i), value);
            }
        }
        Value::Object(map) => {
            for (key, value) in map {
                below(Step::Key(key.clone()), value);
            }
        }
        _ => {}
    }
}

fn at<'a>(value: &'a mut Value, path: &[Step]) -> &'a mut Value {
    path.iter().fold(value, |value, step| match step {
        Step::Key(key) => &mut value[key.as_str()],
        Step::Index(i) => &mut value[*i],
    })
}

fn mutate(rng: &mut StdRng, seeds: &[Value]) -> Value {
    let mut file = seeds.choose(rng).expect("a seed").clone();
    for _ in 0..rng.random_range(1..3) {
        let mut places = Vec::new();
        paths(&file, &mut Vec::new(), &mut places);
        let place = places.choose(rng).expect("there is a place").clone();
        let donor = seeds.choose(rng).expect("a seed");
        let target = at(&mut file, &place);
        let new = match rng.random_range(0..4) {
            0 => odd(rng, donor),
            _ => alike(rng, target, donor),
        };
        match (rng.random_range(0..4), target) {
            (0, Value::Array(list)) if !list.is_empty() => {
                let copy = list.choose(rng).expect("it has some").clone();
                list.push(copy);
            }
            (1, Value::Object(map)) if !map.is_empty() => {
                let keys: Vec<String> = map.keys().cloned().collect();
                map.shift_remove(keys.choose(rng).expect("it has some"));
            }
            (_, target) => *target = new,
        }
    }
    file
}

/// Whether it was read.
fn used(file: &Value) -> bool {
    let Ok(tokenizer) = read(&[("tokenizer.json", file)]) else {
        return false;
    };
    let texts = [
        "",
        " ",
        "hi a b",
        "a</s> hi<s>",
        "é漢字\u{0}\u{301}👩‍👩‍👧 12345",
        &"ab ".repeat(200),
    ];
    for text in texts {
        check(&tokenizer, text);
    }
    let _ = tokenizer.decode(&[0, 1, 2, 3, 31, 32, 999, u32::MAX]);
    let words = ["hi".to_owned(), String::new(), "é".to_owned()];
    let _ = tokenizer
        .for_words()
        .map(|words_of| words_of.encode_words(&words, 20));
    true
}

fn check(tokenizer: &TextTokenizer, text: &str) {
    let Ok(whole) = tokenizer.encode_with_offsets(text, EncodeSpecial::Both, usize::MAX) else {
        return;
    };
    for token in &whole {
        assert!(
            text.get(token.bytes.clone()).is_some(),
            "{text:?}: {token:?}"
        );
    }
    let ids: Vec<u32> = whole.iter().map(|token| token.id).collect();
    let _ = tokenizer.decode(&ids);
    let _ = tokenizer.encode_within(text, 9);
}

#[test]
fn changed_files_are_used_or_refused() {
    let count = std::env::var("TOKENIZER_MUTATIONS").ok();
    let count: u64 = count.map_or(300, |count| count.parse().expect("a number"));
    let seeds = seeds();
    for seed in &seeds {
        assert!(used(seed), "{seed}");
    }
    let mut read = 0;
    for seed in 0..count {
        read += u64::from(used(&mutate(&mut StdRng::seed_from_u64(seed), &seeds)));
    }
    println!("{count} files, seeds 0 to {}: {read} read", count - 1);
    // Changes that are all refused, or all harmless, would try nothing.
    assert!(
        read > count / 20 && read < count * 19 / 20,
        "{read} of {count}"
    );
}
