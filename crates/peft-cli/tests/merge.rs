//! `peft merge`: what it writes, in which precision, with which files, and what it leaves where it
//! fails.

mod common;

use std::fs;
use std::path::Path;

use common::Place;
use serde_json::Value;

/// A place with a model in f32 (`model`), the same in bf16 (`half`), and an adapter of the second
/// (`run`).
fn place() -> Place {
    let place = Place::new();
    // What trains whole is written in the precision that it runs in.
    place.runs(&[
        "train",
        "--model",
        "fresh",
        "--train",
        "train.jsonl",
        "--method",
        "full",
        "--max-steps",
        "1",
        "--dtype",
        "bf16",
        "--out",
        "half",
    ]);
    place.runs(&[
        "train",
        "--model",
        "half",
        "--train",
        "train.jsonl",
        "--rank",
        "2",
        "--lr",
        "0.01",
        "--max-steps",
        "20",
        "--out",
        "run",
    ]);
    place
}

fn merge<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let words = ["merge", "--model", "half", "--adapter", "run", "--out", out];
    [&words, more].concat()
}

/// The dtypes of a checkpoint's tensors, each once.
fn dtypes(dir: &Path) -> Vec<String> {
    let bytes = fs::read(dir.join("model.safetensors")).expect("a file");
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).expect("JSON");
    let tensors = header.as_object().expect("a table").iter();
    let tensors = tensors.filter(|(name, _)| *name != "__metadata__");
    let mut found: Vec<String> = tensors
        .map(|(_, tensor)| tensor["dtype"].as_str().unwrap_or_default().into())
        .collect();
    found.sort();
    found.dedup();
    found
}

/// As an adapter of PEFT's, which has no tokenizer beside it.
fn forget_tokenizer(place: &Place) {
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        fs::remove_file(place.path("run").join(name)).expect("a run has it");
    }
}

/// Names in a directory that this project makes while it writes.
fn unfinished(place: &Place) -> Vec<String> {
    let all = fs::read_dir(place.path(".")).expect("a directory");
    let names = all.map(|entry| {
        entry
            .expect("an entry")
            .file_name()
            .to_string_lossy()
            .into_owned()
    });
    names.filter(|name| name.ends_with(".unfinished")).collect()
}

#[test]
fn a_model_merges_into_the_precision_that_it_has() {
    let place = place();
    assert_eq!(dtypes(&place.path("half")), ["BF16"]);
    place.runs(&merge("merged", &[]));
    assert_eq!(dtypes(&place.path("merged")), ["BF16"]);
    let config: Value = serde_json::from_slice(&place.read("merged/config.json")).expect("JSON");
    let named = config.get("dtype").or(config.get("torch_dtype"));
    assert_eq!(named, Some(&"bfloat16".into()), "{config}");
    place.runs(&merge("asked", &["--dtype", "f32"]));
    assert_eq!(dtypes(&place.path("asked")), ["F32"]);
    place.runs(&merge("probed", &["--probe", "valid.jsonl"]));
    assert_eq!(
        place.read("probed/model.safetensors"),
        place.read("merged/model.safetensors")
    );
    assert!(unfinished(&place).is_empty());
}

#[test]
fn tokenizer_and_template_are_the_adapters_where_it_has_them() {
    let place = place();
    let (template, other) = ("{{ messages[0].content }}!", "{{ messages[0].content }}?");
    fs::write(place.path("half/chat_template.jinja"), template).expect("it is written");
    fs::write(
        place.path("half/generation_config.json"),
        "{\"max_new_tokens\": 7}",
    )
    .expect("it is written");
    forget_tokenizer(&place);
    place.runs(&merge("bases", &[]));
    assert_eq!(place.read("bases/chat_template.jinja"), template.as_bytes());
    assert_eq!(
        place.read("bases/tokenizer.json"),
        place.read("half/tokenizer.json")
    );
    let tokenizer: Value =
        serde_json::from_slice(&place.read("half/tokenizer.json")).expect("JSON");
    // The same in other bytes.
    let tokenizer = format!("{tokenizer}\n");
    fs::write(place.path("run/tokenizer.json"), tokenizer).expect("it is written");
    fs::copy(
        place.path("half/tokenizer_config.json"),
        place.path("run/tokenizer_config.json"),
    )
    .expect("it is copied");
    fs::write(place.path("run/chat_template.jinja"), other).expect("it is written");
    place.runs(&merge("adapters", &[]));
    assert_eq!(place.read("adapters/chat_template.jinja"), other.as_bytes());
    assert_eq!(
        place.read("adapters/tokenizer.json"),
        place.read("run/tokenizer.json")
    );
    assert_eq!(
        place.read("adapters/generation_config.json"),
        place.read("half/generation_config.json")
    );
}

#[test]
fn a_place_is_taken_whole_or_not_at_all() {
    let place = place();
    for foreign in ["merged.partial", "merged.tmp"] {
        fs::create_dir(place.path(foreign)).expect("a directory");
        fs::write(place.path(foreign).join("file"), "others").expect("it is written");
    }
    place.runs(&merge("merged/", &[]));
    assert!(place.path("merged/model.safetensors").exists());
    for foreign in ["merged.partial", "merged.tmp"] {
        assert_eq!(place.read(&format!("{foreign}/file")), b"others");
    }
    let before = place.read("merged/model.safetensors");
    let message = place.refuses(&merge("merged", &[]));
    assert!(message.contains("exists already"), "{message}");
    assert_eq!(place.read("merged/model.safetensors"), before);
    let message = place.refuses(&merge("no/such/merged", &[]));
    assert!(message.contains("there is no directory"), "{message}");
    // What lies in the model's own directory is no part of the model.
    place.runs(&merge("run/merged", &[]));
    assert!(unfinished(&place).is_empty());
}

#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_refused_and_nothing_is_left() {
    let place = place();
    let special = place.path("half/generation_config.json");
    let made = std::process::Command::new("mkfifo")
        .arg(&special)
        .status()
        .expect("mkfifo");
    assert!(made.success());
    let message = place.refuses(&merge("merged", &[]));
    assert!(message.contains("generation_config.json"), "{message}");
    assert!(!place.path("merged").exists() && unfinished(&place).is_empty());
    fs::remove_file(&special).expect("it is removed");
    forget_tokenizer(&place);
    // A link within the model's directory.
    fs::rename(place.path("half/tokenizer.json"), place.path("half/blob")).expect("it is moved");
    std::os::unix::fs::symlink("blob", place.path("half/tokenizer.json")).expect("a link");
    place.runs(&merge("merged", &[]));
    let kept = fs::symlink_metadata(place.path("merged/tokenizer.json")).expect("it is there");
    assert!(kept.is_file(), "its content, not the link");
    std::os::unix::fs::symlink("/dev/zero", place.path("half/merges.txt")).expect("a link");
    let message = place.refuses(&merge("endless", &[]));
    assert!(message.contains("merges.txt"), "{message}");
    assert!(!place.path("endless").exists() && unfinished(&place).is_empty());
}
