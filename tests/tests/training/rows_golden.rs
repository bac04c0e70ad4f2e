//! Rows as tokens and targets, against the field's libraries (`tests/goldens/make_rows.py`).

use std::fs;
use std::path::PathBuf;

use peft_train::{EncodeOptions, Example, TextTokenizer, TrainError, encode};
use serde_json::{Map, Value, json};

use super::data::dataset;

fn goldens() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("goldens")
}

fn expected() -> Value {
    let text = fs::read_to_string(goldens().join("rows/expected.json")).expect("the golden");
    serde_json::from_str(&text).expect("JSON")
}

fn tokenizer(file: &str, template: &str) -> TextTokenizer {
    let dir = tempfile::tempdir().expect("a directory");
    let to = |name: &str| dir.path().join(name);
    fs::copy(goldens().join(file), to("tokenizer.json")).expect("it is copied");
    let config = json!({ "bos_token": "<s>", "eos_token": "</s>", "chat_template": template });
    fs::write(to("tokenizer_config.json"), config.to_string()).expect("it is written");
    TextTokenizer::from_dir(dir.path()).expect("a tokenizer")
}

fn example(row: &Value, tokenizer: &TextTokenizer) -> Result<Example, TrainError> {
    let options = EncodeOptions {
        max_length: 5000,
        append_eos: true,
        vocab_size: 1000,
    };
    let rows = dataset(&row.to_string())?;
    let found = encode(&rows, tokenizer, &options)?;
    Ok(found.examples.to_vec()?.remove(0))
}

fn numbers(value: &Value) -> Vec<u32> {
    let list = value.as_array().expect("a list").iter();
    list.map(|n| n.as_u64().expect("a number") as u32).collect()
}

#[test]
fn completions_are_parts_of_one_text_for_every_kind_of_tokenizer() {
    let golden = expected();
    let (mut checked, mut borders) = (0, 0);
    let mut wrong = Vec::new();
    for (name, cases) in golden["completions"].as_object().expect("tokenizers") {
        let file = name.replace(", ", "-").replace(' ', "-");
        let tokenizer = tokenizer(&format!("rows/{file}.json"), "");
        for case in cases.as_array().expect("cases") {
            let row = json!({ "prompt": case["prompt"], "completion": case["completion"] });
            let found = example(&row, &tokenizer).expect("it encodes");
            let first = found.targets.iter().position(|target| *target);
            let given = case["given"].as_u64().map(|given| given.max(1) as usize);
            let same = numbers(&case["ids"]) == found.ids;
            if !same || given.is_some_and(|given| first != Some(given)) {
                wrong.push(format!("{name}: {case}\n  {found:?}"));
            }
            checked += 1;
            borders += usize::from(given.is_some());
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(checked >= 180 && borders >= 100, "{checked} and {borders}");
}

#[test]
fn turns_without_blocks_are_those_that_generation_blocks_mark() {
    let golden = expected();
    let mut checked = 0;
    let mut wrong = Vec::new();
    for (name, entry) in golden["chats"].as_object().expect("templates") {
        for (marked, key) in [(true, "tagged"), (false, "template")] {
            let template = entry[key].as_str().expect("a template");
            let tokenizer = tokenizer("chat/tokenizer.json", template);
            assert_eq!(tokenizer.marks_generation(&Map::new()), marked);
            for case in entry["cases"].as_array().expect("cases") {
                let found = example(&json!({ "messages": case["messages"] }), &tokenizer);
                let targets: Vec<bool> = numbers(&case["assistant"])
                    .iter()
                    .map(|on| *on == 1)
                    .collect();
                let ids = numbers(&case["ids"]);
                match found {
                    Ok(found) if found.ids == ids && found.targets == targets => checked += 1,
                    found => wrong.push(format!("{name}, {key}, {}: {found:?}", case["chat"])),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(checked, 176);
}

/// Prompts and completions of messages (`tests/goldens/make_prompted.py`): the tokens and labels of
/// TRL's trainer.
#[test]
fn dialogues_are_encoded_as_by_trl() {
    let text = fs::read_to_string(goldens().join("rows/prompted.json")).expect("the golden");
    let golden: Value = serde_json::from_str(&text).expect("JSON");
    let (mut checked, mut apart) = (0, 0);
    let mut wrong = Vec::new();
    for (name, cases) in golden["found"].as_object().expect("templates") {
        let template = golden["templates"][name].as_str().expect("a template");
        let tokenizer = tokenizer("chat/tokenizer.json", template);
        for (case, expected) in cases.as_object().expect("cases") {
            let rows = dataset(&golden["rows"][case].to_string()).expect("a row");
            let options = EncodeOptions {
                max_length: 5000,
                append_eos: true,
                vocab_size: 1000,
            };
            let found = encode(&rows, &tokenizer, &options);
            // Nothing precedes the first token, so it is never a target.
            let given = expected["given"].as_u64().expect("a number").max(1) as usize;
            if given == numbers(&expected["ids"]).len() {
                // The template writes nothing of the completion.
                assert!(matches!(found, Err(TrainError::Targetless { .. })));
                checked += 1;
                continue;
            }
            let found = found.expect("it encodes");
            apart += found.apart;
            let found = found.examples.to_vec().expect("they are read").remove(0);
            let targets: Vec<bool> = (0..found.ids.len()).map(|i| i >= given).collect();
            match numbers(&expected["ids"]) == found.ids && targets == found.targets {
                true => checked += 1,
                false => wrong.push(format!("{name}, {case}: {given}, {found:?}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(checked >= 410 && apart >= 60, "{checked} and {apart}");
}
