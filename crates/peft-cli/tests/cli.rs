//! The command as its users call it: exit status, messages, what it writes over, and merge on the
//! golden adapters.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

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

/// A model of 70 billion parameters is told from its config and header: none of it is drawn, or
/// read.
#[test]
fn a_large_model_is_inspected_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = serde_json::json!({
        "model_type": "llama", "hidden_size": 8192, "intermediate_size": 28672, "vocab_size": 128256,
        "num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8,
    });
    std::fs::write(dir.path().join("config.json"), config.to_string()).expect("written");
    let bytes = 128_256u64 * 8192 * 2;
    let header = serde_json::json!({ "model.embed_tokens.weight": {
        "dtype": "BF16", "shape": [128_256, 8192], "data_offsets": [0, bytes],
    }});
    let header = header.to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    let path = dir.path().join("model.safetensors");
    std::fs::write(&path, &file).expect("written");
    let file_of = std::fs::OpenOptions::new().write(true).open(&path);
    let sparse = file_of.and_then(|sparse| sparse.set_len(file.len() as u64 + bytes));
    sparse.expect("it can be of that length");
    let began = std::time::Instant::now();
    let out = peft(&["inspect", text(dir.path()), "--json"]);
    assert!(out.status.success(), "{out:?}");
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    let report: serde_json::Value = serde_json::from_slice(&out.stdout).expect("JSON");
    assert_eq!(report["parameters"], 128_256u64 * 8192);
    assert_eq!(report["lora_targets"]["embeddings"][0], "embed_tokens");
    assert_eq!(
        report["lora_targets"]["all-linear"]
            .as_array()
            .map(Vec::len),
        Some(7)
    );
}

fn assets(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("assets")
        .join(name)
}

/// The message of a command that its caller got wrong.
#[track_caller]
fn refused(args: &[&str]) -> String {
    let out = peft(args);
    let message = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(2), "{message}");
    message
}

#[test]
fn a_run_writes_over_no_model_and_no_adapter() {
    let (model, rows) = (assets("model"), assets("wordnet/valid.jsonl"));
    for (out, held) in [
        (model.clone(), "holds a model already"),
        (golden("adapters/lora_attn"), "holds an adapter already"),
    ] {
        let before = std::fs::read_dir(&out).expect("a directory").count();
        let message = refused(&[
            "train",
            "--model",
            text(&model),
            "--train",
            text(&rows),
            "--max-steps",
            "1",
            "--out",
            text(&out),
        ]);
        assert!(message.contains(held), "{message}");
        let after = std::fs::read_dir(&out).expect("a directory").count();
        assert_eq!(after, before);
    }
}

#[test]
fn what_is_asked_of_a_model_is_checked_first() {
    let (model, adapter) = (assets("model"), golden("adapters/lora_attn"));
    let rows = assets("wordnet/valid.jsonl");
    let eval = |model: &Path, extra: &[&str]| {
        let args = ["eval", "--model", text(model), "--data", text(&rows)];
        refused(&[&args, extra].concat())
    };
    assert!(eval(&adapter, &[]).contains("to be given as the adapter"));
    assert!(eval(&model, &["--batch-size", "0"]).contains("batch size is 0"));
    let message = refused(&["generate", "--model", text(&model), "--prompt", ""]);
    let said = "the prompt has 0 tokens, but the model takes 1 to 256";
    assert!(message.contains(said), "{message}");
    let message = refused(&["train", "--resume", "--out", "no/run"]);
    assert!(
        message.contains("no/run holds no run to resume"),
        "{message}"
    );
}

/// Ia3 on some of the layers and inputs, which its file can only say by paths.
#[test]
fn ia3_flags_reach_the_adapter_and_its_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let (model, rows) = (assets("model"), assets("wordnet/valid.jsonl"));
    for (name, flags, layers) in [
        ("last", &["--last-layers", "1"][..], 3),
        ("exclude", &["--exclude", "down_proj"], 6),
        ("some", &["--targets", "mlp.down_proj,k_proj"], 6),
    ] {
        let out = dir.path().join(name);
        let args = [
            &[
                "train",
                "--model",
                text(&model),
                "--train",
                text(&rows),
                "--method",
                "ia3",
                "--max-steps",
                "1",
                "--out",
                text(&out),
            ],
            flags,
        ]
        .concat();
        let ran = peft(&args);
        let shown = String::from_utf8_lossy(&ran.stderr).into_owned();
        let attached = format!("on {layers} layers");
        assert!(ran.status.success() && shown.contains(&attached), "{shown}");
        let read = peft(&["inspect", text(&out), "--json"]);
        let report: serde_json::Value = serde_json::from_slice(&read.stdout).expect("JSON");
        let tensors = report["tensors"].as_array().expect("a list");
        assert_eq!(tensors.len(), layers);
        // Keys and values are rescaled by a column, the feed-forward input by a row.
        for tensor in tensors {
            let key = tensor[0].as_str().expect("a key");
            let row = key.contains("down_proj");
            assert_eq!(tensor[1][usize::from(!row)], 1, "{key}");
        }
        let continued = peft(&[
            "generate",
            "--model",
            text(&model),
            "--adapter",
            text(&out),
            "--prompt",
            "a dog",
            "--max-new-tokens",
            "1",
        ]);
        assert!(continued.status.success(), "{name}");
    }
}

#[test]
fn a_reader_that_goes_is_no_fault() {
    let model = assets("model");
    let mut child = Command::new(env!("CARGO_BIN_EXE_peft"))
        .args(["inspect", text(&model)])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command runs");
    drop(child.stdout.take());
    let out = child.wait_with_output().expect("it ends");
    let message = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success() && message.is_empty(), "{message}");
}
