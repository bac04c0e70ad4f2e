//! Special tokens, ends and chat templates, from the files that transformers takes them from
//! (`tests/goldens/make_tokens.py`).

use std::fs;
use std::path::PathBuf;

use peft_train::{EncodeSpecial, TextTokenizer, TrainError, conversation};
use serde_json::{Value, json};

use super::{read, words};

fn goldens() -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("goldens/tokens/cases.json");
    serde_json::from_str(&fs::read_to_string(path).expect("the golden is there")).expect("JSON")
}

/// The tokenizer of a case, whose files are JSON or texts.
fn of(golden: &Value, case: &Value) -> Result<TextTokenizer, TrainError> {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, value) in case["files"].as_object().expect("files") {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("it is made");
        let shared = value.as_str().filter(|_| name == "tokenizer.json");
        let value = shared.map_or(value, |shared| &golden["tokenizers"][shared]);
        let text = match value {
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        fs::write(path, text).expect("it is written");
    }
    TextTokenizer::from_dir(dir.path())
}

fn numbers(value: &Value) -> Vec<u32> {
    let list = value.as_array().expect("a list").iter();
    list.map(|id| id.as_u64().expect("a number") as u32)
        .collect()
}

#[test]
fn special_tokens_ends_and_templates_are_transformers() {
    let golden = goldens();
    let texts = golden["texts"].as_array().expect("texts");
    let (mut refused, mut encoded, mut chats) = (0, 0, 0);
    for (name, case) in golden["cases"].as_object().expect("cases") {
        let expected = &case["expected"];
        let found = of(&golden, case);
        if expected.get("error").is_some() {
            let error = found.expect_err(name).to_string();
            assert!(
                error.contains("tokenizer_config.json") || error.contains("map.json"),
                "{error}"
            );
            refused += 1;
            continue;
        }
        let tokenizer = found.unwrap_or_else(|error| panic!("{name}: {error}"));
        for (field, token) in expected["special"].as_object().expect("tokens") {
            // A default of the class that the vocabulary lacks is added there and left out here.
            let token = token.as_str().filter(|token| *token != "<mask>");
            assert_eq!(tokenizer.special_token(field), token, "{name}: {field}");
        }
        for field in [
            "bos_token",
            "eos_token",
            "unk_token",
            "pad_token",
            "cls_token",
        ] {
            let expected = expected["special"][field].as_str();
            assert_eq!(tokenizer.special_token(field), expected, "{name}: {field}");
        }
        let eos = expected["eos"].as_u64().map(|id| id as u32);
        let mut stops = numbers(&expected["stops"]);
        // Without a token of its own, a tokenizer has the model's; or what its texts are closed
        // with.
        let end = eos.or(stops.first().copied());
        assert_eq!(tokenizer.eos(), end, "{name}");
        stops.extend(end);
        let mut found = tokenizer.stops().to_vec();
        stops.sort_unstable();
        stops.dedup();
        found.sort_unstable();
        assert_eq!(found, stops, "{name}");
        for (special, field) in [(EncodeSpecial::Both, "ids"), (EncodeSpecial::None, "bare")] {
            let ids = expected.get(field).into_iter();
            let ids = ids.flat_map(|ids| ids.as_array().expect("ids"));
            for (text, ids) in texts.iter().zip(ids) {
                let text = text.as_str().expect("a text");
                let found = tokenizer.encode(text, special).expect("it encodes");
                assert_eq!(found, numbers(ids), "{name}: {text}");
                encoded += 1;
            }
        }
        let templates = expected["templates"].as_object().expect("templates");
        assert_eq!(
            tokenizer.has_chat_template(),
            !templates.is_empty(),
            "{name}"
        );
        if let Some(ids) = expected.get("chat") {
            let turns = conversation(&golden["turns"]).expect("turns");
            let text = tokenizer.render(&turns, true).expect(name);
            let found = tokenizer.encode(&text, EncodeSpecial::None).expect(name);
            assert_eq!(found, numbers(ids), "{name}");
            // Pasted, it has the one begin token that it brings.
            assert_eq!(tokenizer.encode_prompt(&text).expect(name), found, "{name}");
            chats += 1;
            continue;
        }
        for (template, source) in templates {
            let tokenizer = tokenizer.clone().with_chat_template(template);
            let text = tokenizer.expect(name).render(&[], false).expect(name);
            // Jinja drops the last end of a line.
            let source = source.as_str().expect("a text");
            assert_eq!(text, source.strip_suffix('\n').unwrap_or(source), "{name}");
        }
        let unknown = tokenizer
            .with_chat_template("there is none")
            .expect_err(name);
        let TrainError::UnknownTemplate { known, .. } = unknown else {
            panic!("{unknown}")
        };
        assert_eq!(known.len(), templates.len(), "{name}: {known:?}");
    }
    assert!(
        refused == 5 && chats == 2 && encoded > 500,
        "{refused}, {encoded}"
    );
}

/// A tokenizer that closes its texts has an end without a file that names it.
#[test]
fn what_closes_a_text_is_its_end() {
    let mut tokenizer = words(&["<unk>", "</s>", "hi"]);
    tokenizer["post_processor"] = json!({
        "type": "BertProcessing", "sep": ["</s>", 1], "cls": ["</s>", 1],
    });
    let found = read(&[("tokenizer.json", &tokenizer)]).expect("a tokenizer");
    assert_eq!((found.eos(), found.stops()), (Some(1), &[1][..]));
}

#[test]
fn no_end_is_said_with_the_files_that_were_looked_at() {
    let tokenizer = words(&["<unk>", "</s>", "hi"]);
    let found = read(&[("tokenizer.json", &tokenizer)]).expect("a tokenizer");
    assert_eq!((found.eos(), found.stops()), (None, &[][..]));
    let said = found.check_end(3).expect("no error").expect("a word");
    for file in [
        "tokenizer_config.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "generation_config.json",
        "config.json",
    ] {
        assert!(said.contains(file), "{said}");
    }
    let config = json!({ "eos_token": "</s>" });
    let files = [
        ("tokenizer.json", &tokenizer),
        ("tokenizer_config.json", &config),
    ];
    let found = read(&files).expect("a tokenizer");
    assert_eq!(found.check_end(3).expect("no error"), None);
}

/// transformers gives such a token the next number, which the model need not have.
#[test]
fn an_end_that_the_model_does_not_have_is_refused_by_name() {
    let tokenizer = words(&["<unk>", "</s>", "hi"]);
    let config = json!({ "eos_token": "<end>" });
    let files = [
        ("tokenizer.json", &tokenizer),
        ("tokenizer_config.json", &config),
    ];
    let found = read(&files).expect("a tokenizer");
    assert_eq!(found.eos(), Some(3));
    assert!(found.check_end(4).expect("the model has it").is_none());
    let error = found.check_end(3).expect_err("it is refused").to_string();
    assert!(
        error.contains("`<end>`") && error.contains("tokenizer.json"),
        "{error}"
    );
    // Negative numbers stand for none, in the field's files; others are refused with their file.
    let generation = |value: Value| {
        let config = json!({ "eos_token_id": value });
        let files = [
            ("tokenizer.json", &tokenizer),
            ("generation_config.json", &config),
        ];
        read(&files)
    };
    assert_eq!(generation(json!(-1)).expect("a tokenizer").eos(), None);
    assert_eq!(
        generation(json!([-1, 1])).expect("a tokenizer").eos(),
        Some(1)
    );
    for value in [
        json!("</s>"),
        json!(1.5),
        json!([1, "2"]),
        json!(true),
        json!(1u64 << 40),
    ] {
        let error = generation(value).expect_err("it is refused").to_string();
        assert!(error.contains("generation_config.json"), "{error}");
        assert!(error.contains("eos_token_id"), "{error}");
    }
}
