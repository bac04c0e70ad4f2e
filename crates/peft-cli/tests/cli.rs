//! The command as its users call it: exit status, messages, and merge on the golden adapters.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn peft(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_peft"))
        .args(args)
        .output()
        .expect("the command runs")
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/goldens")
        .join(name)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of UTF-8")
}

#[test]
fn a_missing_model_is_the_callers_mistake() {
    let out = peft(&[
        "merge",
        "--model",
        "no/such",
        "--adapter",
        "no",
        "--out",
        "x",
    ]);
    assert_eq!(out.status.code(), Some(2));
    let message = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(message.contains("no/such"), "{message}");
    assert!(message.contains("config.json"), "{message}");
}

#[test]
fn model_and_adapter_the_wrong_way_round() {
    let (model, adapter) = (golden("models/gqa"), golden("adapters/lora_attn"));
    let out = peft(&[
        "merge",
        "--model",
        text(&adapter),
        "--adapter",
        text(&model),
        "--out",
        "x",
    ]);
    assert_eq!(out.status.code(), Some(2));
    let message = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(message.contains("it is an adapter"), "{message}");
}

#[test]
fn an_unknown_device_names_those_that_are_there() {
    let (model, adapter) = (golden("models/gqa"), golden("adapters/lora_attn"));
    let out = peft(&[
        "merge",
        "--model",
        text(&model),
        "--adapter",
        text(&adapter),
        "--out",
        "x",
        "--device",
        "tpu",
    ]);
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).contains("flex"));
}

#[test]
fn merge_writes_a_checkpoint_that_is_inspected() {
    let dir = tempfile::tempdir().expect("a directory");
    // The last one has an adapter on a tied embedding, and must come out untied.
    for (model, adapter) in [
        ("gqa", "lora_attn"),
        ("biased", "ia3_biased"),
        ("tied", "lora_embedding_tied"),
    ] {
        let out_dir = dir.path().join(adapter);
        let out = peft(&[
            "merge",
            "--model",
            text(&golden("models").join(model)),
            "--adapter",
            text(&golden("adapters").join(adapter)),
            "--out",
            text(&out_dir),
        ]);
        let message = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.success(), "{message}");
        let out = peft(&["inspect", text(&out_dir), "--json"]);
        let report: serde_json::Value =
            serde_json::from_slice(&out.stdout).expect("one JSON object");
        assert_eq!(report["kind"], "model");
        assert_eq!(report["layers"], 2);
    }
}
