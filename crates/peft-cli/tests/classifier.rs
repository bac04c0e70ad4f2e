//! Classifiers by the command: a head is trained, kept with its labels, and evaluated; mistakes are
//! named.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

fn peft(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_peft"))
        .args(args)
        .output()
        .expect("it runs")
}

/// A tiny encoder without a head, and a tokenizer that has a token for each word of the rows.
fn encoder() -> TempDir {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens");
    let dir = tempfile::tempdir().expect("a directory");
    for file in ["config.json", "model.safetensors"] {
        let from = goldens.join("encoders/bert").join(file);
        fs::copy(from, dir.path().join(file)).expect("it is copied");
    }
    let words = [
        "[PAD]", "[UNK]", "red", "blue", "big", "small", "sky", "sea",
    ];
    let vocabulary: Vec<String> = words
        .iter()
        .enumerate()
        .map(|(id, word)| format!("\"{word}\": {id}"))
        .collect();
    let tokenizer = format!(
        "{{\"version\": \"1.0\", \"added_tokens\": [], \"normalizer\": null, \"pre_tokenizer\": {{\"type\": \"Whitespace\"}}, \
         \"post_processor\": null, \"decoder\": null, \"model\": {{\"type\": \"WordLevel\", \"vocab\": {{{}}}, \"unk_token\": \"[UNK]\"}}}}",
        vocabulary.join(", ")
    );
    fs::write(dir.path().join("tokenizer.json"), tokenizer).expect("it is written");
    dir
}

fn rows(dir: &Path, name: &str, rows: &[&str]) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, rows.join("\n")).expect("it is written");
    path
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn a_head_is_trained_kept_and_evaluated() {
    let model = encoder();
    let texts = rows(
        model.path(),
        "texts.jsonl",
        &[
            "{\"text\": \"big red sky\", \"label\": \"warm\"}",
            "{\"text\": \"small blue sea\", \"label\": \"cold\"}",
            "{\"text\": \"red sea\", \"label\": \"warm\"}",
            "{\"text\": \"blue sky\", \"label\": \"cold\"}",
        ],
    );
    let tags = rows(
        model.path(),
        "tags.jsonl",
        &[
            "{\"tokens\": [\"big\", \"red\", \"sky\"], \"tags\": [\"size\", \"hue\", \"thing\"]}",
            "{\"tokens\": [\"small\", \"sea\"], \"tags\": [\"size\", \"thing\"]}",
        ],
    );
    for (data, kind) in [(texts, "SEQ_CLS"), (tags, "TOKEN_CLS")] {
        let out = model.path().join(kind);
        let (model, data, out) = (text(model.path()), text(&data), text(&out));
        let trained = peft(&[
            "train",
            "--model",
            model,
            "--train",
            data,
            "--valid",
            data,
            "--out",
            out,
            "--rank",
            "2",
            "--targets",
            "query,value",
            "--lr",
            "0.02",
            "--epochs",
            "60",
            "--workers",
            "1",
        ]);
        let errors = String::from_utf8_lossy(&trained.stderr);
        assert!(trained.status.success(), "{errors}");
        let config = fs::read_to_string(Path::new(out).join("adapter_config.json"));
        let config: Value = serde_json::from_str(&config.expect("a config")).expect("JSON");
        assert_eq!(config["task_type"], kind);
        let evaluated = peft(&[
            "eval",
            "--model",
            model,
            "--adapter",
            out,
            "--data",
            data,
            "--json",
        ]);
        let errors = String::from_utf8_lossy(&evaluated.stderr);
        let report: Value = serde_json::from_slice(&evaluated.stdout).expect(&errors);
        assert_eq!(report["accuracy"], 1.0, "{report}");
        assert!(report["loss"].as_f64().expect("a loss") < 0.2, "{report}");

        let said = peft(&[
            "generate",
            "--model",
            model,
            "--adapter",
            out,
            "--prompt",
            "big red sky",
            "--json",
        ]);
        let errors = String::from_utf8_lossy(&said.stderr);
        let said: Value = serde_json::from_slice(&said.stdout).expect(&errors);
        match kind {
            "SEQ_CLS" => {
                assert_eq!(said["label"], "warm", "{said}");
                assert!(said["probabilities"]["warm"].as_f64() > Some(0.5), "{said}");
            }
            _ => assert_eq!(said["tags"], json!(["size", "hue", "thing"]), "{said}"),
        }

        let merged = format!("{out}-merged");
        let written = peft(&[
            "merge",
            "--model",
            model,
            "--adapter",
            out,
            "--out",
            &merged,
        ]);
        let errors = String::from_utf8_lossy(&written.stderr);
        assert!(written.status.success(), "{errors}");
        let evaluated = peft(&["eval", "--model", &merged, "--data", data, "--json"]);
        let errors = String::from_utf8_lossy(&evaluated.stderr);
        let again: Value = serde_json::from_slice(&evaluated.stdout).expect(&errors);
        let loss = |report: &Value| report["loss"].as_f64().expect("a loss");
        assert!(
            (loss(&again) - loss(&report)).abs() < 1e-4,
            "{again}, before {report}"
        );
    }
}

#[test]
fn mistakes_are_named() {
    let model = encoder();
    let data = rows(
        model.path(),
        "rows.jsonl",
        &["{\"text\": \"red\", \"label\": \"warm\"}"],
    );
    let (dir, data) = (text(model.path()), text(&data));
    let llama = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/model");
    let out = model.path().join("out");
    let refused = |args: &[&str], expected: &str| {
        let output = peft(args);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(expected), "{errors}");
    };
    refused(&["eval", "--model", dir, "--data", data], "has no labels");
    refused(
        &[
            "train",
            "--model",
            text(&llama),
            "--train",
            data,
            "--out",
            text(&out),
        ],
        "this takes an encoder",
    );
    refused(
        &[
            "generate", "--model", dir, "--prompt", "red", "--top-k", "3",
        ],
        "an encoder",
    );
}

#[test]
fn all_of_a_classifier_is_trained_and_kept() {
    let model = encoder();
    let data = rows(
        model.path(),
        "texts.jsonl",
        &[
            "{\"text\": \"big red sky\", \"label\": \"warm\"}",
            "{\"text\": \"small blue sea\", \"label\": \"cold\"}",
        ],
    );
    let (dir, data) = (text(model.path()), text(&data));
    let out = model.path().join("full");
    let out = text(&out);
    let trained = peft(&[
        "train", "--model", dir, "--train", data, "--out", out, "--method", "full", "--lr",
        "0.005", "--epochs", "40",
    ]);
    let errors = String::from_utf8_lossy(&trained.stderr);
    assert!(trained.status.success(), "{errors}");
    // The directory is a model by itself: its head has its labels.
    let evaluated = peft(&["eval", "--model", out, "--data", data, "--json"]);
    let errors = String::from_utf8_lossy(&evaluated.stderr);
    let report: Value = serde_json::from_slice(&evaluated.stdout).expect(&errors);
    assert_eq!(report["accuracy"], 1.0, "{report}");
    let said = peft(&["generate", "--model", out, "--prompt", "small blue sea"]);
    let said = String::from_utf8_lossy(&said.stdout);
    assert!(said.contains("label  cold"), "{said}");
}

#[test]
fn a_text_without_a_head_has_an_embedding() {
    let model = encoder();
    let said = peft(&[
        "generate",
        "--model",
        text(model.path()),
        "--prompt",
        "red",
        "--json",
    ]);
    let errors = String::from_utf8_lossy(&said.stderr);
    let said: Value = serde_json::from_slice(&said.stdout).expect(&errors);
    assert_eq!(
        said["embedding"].as_array().map(Vec::len),
        Some(24),
        "{said}"
    );
}

#[test]
fn pairs_of_texts_are_told_by_their_order() {
    let model = encoder();
    let train = rows(
        model.path(),
        "pairs.jsonl",
        &[
            "{\"premise\": \"big red\", \"hypothesis\": \"small\", \"label\": \"yes\"}",
            "{\"premise\": \"small\", \"hypothesis\": \"big red\", \"label\": \"no\"}",
            "{\"sentence1\": \"blue\", \"sentence2\": \"small sea\", \"label\": \"yes\"}",
            "{\"text\": \"small sea\", \"text_pair\": \"blue\", \"label\": \"no\"}",
        ],
    );
    let asked = rows(
        model.path(),
        "asked.jsonl",
        &[
            "{\"text\": \"small\", \"text_pair\": \"big red\"}",
            "{\"text\": \"big red\", \"text_pair\": \"small\"}",
        ],
    );
    let (run, told) = (model.path().join("run"), model.path().join("told.jsonl"));
    let (dir, run, told) = (text(model.path()), text(&run), text(&told));
    let passes = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let found = peft(&words);
        let said = String::from_utf8_lossy(&found.stderr).into_owned();
        assert!(found.status.success(), "{line}: {said}");
        String::from_utf8_lossy(&found.stdout).into_owned()
    };
    let train = text(&train);
    passes(&format!(
        "train --model {dir} --train {train} --epochs 60 --batch-size 4 --lr 2e-2 --out {run}"
    ));
    let eval = format!("eval --model {dir} --adapter {run} --data {train} --json");
    let report: Value = serde_json::from_str(&passes(&eval)).expect("JSON");
    assert_eq!(report["accuracy"], 1.0, "{report}");
    let plan = format!("plan --model {dir} --train {train} --batch-size 4 --no-probe --json");
    let plan: Value = serde_json::from_str(&passes(&plan)).expect("JSON");
    let of = |name: &str| plan["rows"][name].as_f64().expect("a number");
    assert_eq!([of("rows"), of("longest"), of("targets")], [4.0, 3.0, 4.0]);
    let asked = text(&asked);
    passes(&format!(
        "predict --model {dir} --adapter {run} --data {asked} --out {told}"
    ));
    let told: Vec<Value> = fs::read_to_string(told)
        .expect("it is written")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let labels: Vec<&Value> = told.iter().map(|row| &row["prediction"]).collect();
    assert_eq!(labels, [&json!("no"), &json!("yes")]);
    // A vector is of one text.
    let vectors = format!("predict --model {dir} --embed --data {asked} --out {dir}/vectors.jsonl");
    let words: Vec<&str> = vectors.split_whitespace().collect();
    let refused = peft(&words);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("two texts"), "{said}");
}
