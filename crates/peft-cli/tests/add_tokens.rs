//! `peft add-tokens`: a model with a larger vocabulary, whose new rows train.

mod common;

use std::fs;

use common::Place;
use common::models::refused;
use serde_json::Value;

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn json(place: &Place, line: &str) -> Value {
    serde_json::from_str(&place.runs(&words(line))).expect("JSON")
}

#[test]
fn new_tokens_have_rows_that_train_alone() {
    let place = Place::new();
    fs::write(
        place.path("tokens.txt"),
        "<call>\tcall a tool\n<end of it>\n",
    )
    .expect("written");
    let table = place.runs(&words(
        "add-tokens --model model --tokens tokens.txt --out grown",
    ));
    assert_eq!(table, "    4096  <call>\n    4097  <end of it>\n");
    let config: Value = serde_json::from_slice(&place.read("grown/config.json")).expect("JSON");
    assert_eq!(config["vocab_size"], 4098);
    assert_eq!(config["tie_word_embeddings"], true);
    let rows = r#"{"prompt": "a dog <call>", "completion": " bark <end of it>"}"#;
    fs::write(place.path("rows.jsonl"), format!("{rows}\n").repeat(8)).expect("written");
    let loss = |of: &str| {
        let report = json(
            &place,
            &format!("eval --model {of} --data rows.jsonl --json"),
        );
        report["loss"].as_f64().expect("a loss")
    };
    let before = loss("grown");
    place.runs(&words(
        "train --model grown --train rows.jsonl --method trainable-tokens --token-ids 4096,4097 \
         --lr 0.05 --max-steps 6 --batch-size 4 --out run",
    ));
    let after = loss("grown --adapter run");
    assert!(after < before, "{after}, before {before}");
    // What is merged stays tied, and is the same model.
    place.runs(&words("merge --model grown --adapter run --out merged"));
    let config: Value = serde_json::from_slice(&place.read("merged/config.json")).expect("JSON");
    assert_eq!(config["tie_word_embeddings"], true);
    assert!((loss("merged") - after).abs() < 1e-5);
    let found = json(&place, "inspect run --json");
    assert_eq!(found["method"], "trainable-tokens");
    // The base that has no such rows says so.
    let message = place.refuses(&words("eval --model model --adapter run --data rows.jsonl"));
    assert!(
        message.contains("4096, and there are 4096 rows"),
        "{message}"
    );
}

#[test]
fn what_cannot_be_added_is_said() {
    let place = Place::new();
    for (text, part) in [
        ("</s>\n", "has `</s>` already, as 1"),
        ("<x>\n<x>\n", "there twice"),
        ("\n\n", "has no token"),
    ] {
        fs::write(place.path("tokens.txt"), text).expect("written");
        let line = "add-tokens --model model --tokens tokens.txt --out grown";
        refused(&place, line, part);
        assert!(!place.path("grown").exists());
    }
    let nowhere = "add-tokens --model model --tokens nowhere.txt --out grown";
    let out = place.run(&words(nowhere));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(
        !out.status.success() && said.contains("nowhere.txt"),
        "{said}"
    );
    let line = "train --model model --train train.jsonl --out run";
    for (flags, part) in [
        ("--method trainable-tokens", "--token-ids"),
        ("--method trainable-tokens --token-ids 1,1", "1, twice"),
        ("--token-ids 9999", "9999, and there are 4096 rows"),
        (
            "--method ia3 --token-ids 1",
            "that is for lora, trainable-tokens",
        ),
    ] {
        let message = place.refuses(&words(&format!("{line} {flags}")));
        assert!(message.contains(part), "{flags}: {message}");
    }
}
