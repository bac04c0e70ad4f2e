//! Adapters of classifiers and of feature extractors that PEFT wrote, wherever their head is:
//! evaluated, asked, and merged into models that compute what PEFT does.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use common::command;
use peft_models::{SequenceClassifier, TokenClassifier, Transformer};
use peft_store::Checkpoint;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use tempfile::TempDir;

/// How far the outputs may be from PEFT's, which are at most some tens.
const SAME: f32 = 1e-4;

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens")
}

/// What an adapter gives.
#[derive(Clone, Copy, PartialEq)]
enum Gives {
    Label(usize),
    Tags(usize),
    Features,
}

const CASES: [(&str, Gives); 10] = [
    ("fresh_head", Gives::Label(4)),
    ("unnamed_head", Gives::Label(3)),
    ("unnamed_fresh_head", Gives::Label(4)),
    ("base_head", Gives::Label(3)),
    ("fresh_head_of_tokens", Gives::Tags(5)),
    ("roberta_fresh_head", Gives::Label(2)),
    ("ia3", Gives::Label(3)),
    ("features", Gives::Features),
    ("features_of_classifier", Gives::Features),
    ("features_of_no_task", Gives::Features),
];

/// A base with a tokenizer of a few words, as `model` in a directory.
fn model(base: &str) -> TempDir {
    let place = tempfile::tempdir().expect("a directory");
    let dir = place.path().join("model");
    fs::create_dir(&dir).expect("a directory");
    for file in ["config.json", "model.safetensors"] {
        let from = goldens().join("encoders").join(base).join(file);
        fs::copy(from, dir.join(file)).expect("it is copied");
    }
    let tokenizer = r#"{"version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": null, "decoder": null, "model": {"type": "WordLevel", "unk_token": "x",
        "vocab": {"x": 3, "red": 4, "blue": 5, "sky": 6, "sea": 7}}}"#;
    fs::write(dir.join("tokenizer.json"), tokenizer).expect("it is written");
    place
}

/// Standard output of a command that succeeds in a directory.
#[track_caller]
fn runs(place: &Path, words: &str, adapter: &Path) -> String {
    let words = words.split_whitespace().map(str::to_owned);
    let adapter = adapter.display().to_string();
    let words: Vec<String> = words
        .map(|word| word.replace("ADAPTER", &adapter))
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let out = command(&words)
        .current_dir(place)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{words:?}: {said}");
    String::from_utf8(out.stdout).expect("UTF-8")
}

/// What the merged model gives for the golden's batch, and what PEFT did.
fn outputs(merged: &Path, golden: &[u8], gives: Gives) -> (Vec<f32>, Vec<f32>) {
    let golden = SafeTensors::deserialize(golden).expect("safetensors");
    let ints = |key: &str| {
        let view = golden.tensor(key).expect("a tensor");
        assert_eq!(view.dtype(), Dtype::I64);
        let values = view.data().as_chunks().0.iter();
        let values: Vec<i64> = values.map(|bytes| i64::from_le_bytes(*bytes)).collect();
        (values, view.shape().to_vec())
    };
    let device = Device::flex();
    let tensor = |(values, shape): (Vec<i64>, Vec<usize>)| -> Tensor<2, Int> {
        Tensor::from_data(TensorData::new(values, shape), (&device, DType::I64))
    };
    let mask = tensor(ints("attention_mask"));
    let (ids, padding) = (tensor(ints("input_ids")), Some(1 - mask.clone()));
    let checkpoint = Checkpoint::open(merged).expect("a model");
    let read = |tensor: Tensor<3>| {
        let mask = mask.clone().float().unsqueeze_dim(2);
        (tensor * mask)
            .into_data()
            .iter::<f32>()
            .collect::<Vec<f32>>()
    };
    let (found, key) = match gives {
        Gives::Label(n) => {
            let loaded = checkpoint.load_classifier(n, &device, DType::F32);
            let loaded = loaded.expect("a classifier");
            assert!(loaded.fresh.is_empty(), "{:?} are not there", loaded.fresh);
            let logits = loaded.model.classify(ids, padding);
            (logits.into_data().iter::<f32>().collect(), "logits")
        }
        Gives::Tags(n) => {
            let loaded = checkpoint.load_tagger(n, &device, DType::F32);
            let loaded = loaded.expect("a tagger");
            assert!(loaded.fresh.is_empty(), "{:?} are not there", loaded.fresh);
            let hidden = loaded.model.hidden(ids, padding, None);
            (read(loaded.model.token_logits(hidden)), "logits")
        }
        Gives::Features => {
            let model = checkpoint.load_encoder(&device, DType::F32);
            let model = model.expect("an encoder");
            (read(model.hidden(ids, padding, None)), "hidden")
        }
    };
    let expected = golden.tensor(key).expect("a tensor");
    let expected = expected.data().as_chunks().0.iter();
    (
        found,
        expected.map(|bytes| f32::from_le_bytes(*bytes)).collect(),
    )
}

#[test]
fn a_merged_model_computes_what_peft_does() {
    for (name, gives) in CASES {
        let adapter = goldens().join("heads").join(name);
        let base = fs::read_to_string(adapter.join("base.txt")).expect("a name");
        let place = model(base.trim());
        let place = place.path();
        runs(
            place,
            "merge --model model --adapter ADAPTER --out merged",
            &adapter,
        );
        let golden = fs::read(adapter.join("expected.safetensors")).expect("a golden");
        let (found, expected) = outputs(&place.join("merged"), &golden, gives);
        assert_eq!(found.len(), expected.len(), "{name}");
        let gaps = found.iter().zip(&expected).map(|(a, b)| (a - b).abs());
        let gap = gaps.fold(0.0, f32::max);
        assert!(gap < SAME, "{name}: {gap}");
        let config = fs::read(place.join("merged/config.json")).expect("a config");
        let config: Value = serde_json::from_slice(&config).expect("JSON");
        let class = config["architectures"][0].as_str().expect("a class");
        let end = match gives {
            Gives::Label(_) => "ForSequenceClassification",
            Gives::Tags(_) => "ForTokenClassification",
            Gives::Features => "Model",
        };
        assert!(class.ends_with(end), "{name}: {class}");
    }
}

#[test]
fn an_adapter_of_peft_is_asked_and_evaluated_as_its_merged_model_is() {
    for (name, gives) in CASES {
        let adapter = goldens().join("heads").join(name);
        let base = fs::read_to_string(adapter.join("base.txt")).expect("a name");
        let place = model(base.trim());
        let place = place.path();
        let run = |words: &str| runs(place, words, &adapter);
        run("merge --model model --adapter ADAPTER --out merged");
        let asked = "generate --prompt red --json --model";
        let beside = run(&format!("{asked} model --adapter ADAPTER"));
        let merged = run(&format!("{asked} merged"));
        let (beside, merged): (Value, Value) = (
            serde_json::from_str(&beside).expect("JSON"),
            serde_json::from_str(&merged).expect("JSON"),
        );
        let rows = match gives {
            Gives::Label(n) => {
                assert_eq!(beside["label"], merged["label"], "{name}");
                let probabilities = beside["probabilities"].as_object();
                assert_eq!(probabilities.map(serde_json::Map::len), Some(n), "{name}");
                "{\"text\": \"red sky\", \"label\": 0}\n{\"text\": \"blue sea\", \"label\": 1}\n"
            }
            Gives::Tags(_) => {
                assert_eq!(beside["tags"], merged["tags"], "{name}");
                "{\"tokens\": [\"red\", \"sky\"], \"tags\": [4, 0]}\n"
            }
            Gives::Features => {
                let values = |of: &Value| -> Vec<f64> {
                    let values = of["embedding"].as_array().expect("an embedding");
                    values.iter().filter_map(Value::as_f64).collect()
                };
                let (beside, merged) = (values(&beside), values(&merged));
                assert_eq!(beside.len(), 24, "{name}");
                let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-4;
                assert!(beside.iter().zip(&merged).all(near), "{name}");
                continue;
            }
        };
        fs::write(place.join("rows.jsonl"), rows).expect("it is written");
        let evaluated = "eval --data rows.jsonl --json --model";
        let loss = |said: String| -> f64 {
            let report: Value = serde_json::from_str(&said).expect("JSON");
            report["loss"].as_f64().expect("a loss")
        };
        let beside = loss(run(&format!("{evaluated} model --adapter ADAPTER")));
        let merged = loss(run(&format!("{evaluated} merged")));
        assert!((beside - merged).abs() < 1e-4, "{name}: {beside}, {merged}");
    }
}

/// The adapter of a classifier whose head is nowhere.
#[test]
fn a_head_that_is_nowhere_is_missed() {
    let place = model("bert");
    let adapter = goldens().join("heads/base_head");
    let adapter = adapter.display().to_string();
    fs::write(
        place.path().join("rows.jsonl"),
        "{\"text\": \"red\", \"label\": 1}",
    )
    .expect("rows");
    for words in [
        "merge --model model --out merged --adapter",
        "generate --model model --prompt red --adapter",
        "eval --model model --data rows.jsonl --adapter",
    ] {
        let words: Vec<&str> = words.split_whitespace().chain([adapter.as_str()]).collect();
        let ended = command(&words).current_dir(place.path()).output();
        let ended = ended.expect("it runs");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{words:?}: {said}");
        assert!(said.contains("head"), "{words:?}: {said}");
    }
    assert!(!place.path().join("merged").exists());
}

#[test]
fn a_label_moves_no_terminal() {
    let place = model("bert_sequence");
    let config = place.path().join("model/config.json");
    let text = fs::read_to_string(&config).expect("a config");
    let mut fields: Value = serde_json::from_str(&text).expect("JSON");
    let names = ["a\u{1b}[31mb", "c\nd", "e\u{202e}f"].map(Value::from);
    let ids = (0..).map(|id: usize| id.to_string());
    fields["id2label"] = ids.zip(names).collect::<serde_json::Map<_, _>>().into();
    fields.as_object_mut().expect("fields").remove("label2id");
    fs::write(&config, fields.to_string()).expect("it is written");
    let shown = runs(
        place.path(),
        "generate --model model --prompt red",
        Path::new(""),
    );
    assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown:?}");
    for part in ["a\\u{1b}[31mb", "c\\nd"] {
        assert!(shown.contains(part), "{part}: {shown:?}");
    }
}
