//! Flags, files and directories that hold nothing, or something else, are refused by a message, and
//! nothing panics on them.

mod common;

use std::fs;

use common::models::{edit, place, refused};
use common::{assets, command};
use serde_json::json;

#[test]
fn flags_of_nothing() {
    let place = place();
    for (words, part) in [
        (
            "eval --model texts --data good.jsonl --batch-size 0",
            "batch size is 0",
        ),
        (
            "eval --model model --data valid.jsonl --batch-size 0",
            "batch size is 0",
        ),
        (
            "eval --model model --data valid.jsonl --max-length 0",
            "length",
        ),
        (
            "eval --model valid.jsonl --data valid.jsonl",
            "valid.jsonl is no model directory: it has no config.json; it is a file",
        ),
        (
            "train --model org/name --train train.jsonl --out out",
            "it does not exist. Nothing is downloaded here: a model of the hub is fetched by `hf download org/name",
        ),
        (
            "inspect valid.jsonl",
            "it is a file, and its name does not end in .gguf",
        ),
        (
            "eval --model model --data valid.jsonl --max-length 1",
            "maximal length",
        ),
        (
            "train --model model --train train.jsonl --batch-size 0 --out out",
            "batch size",
        ),
        (
            "train --model model --train train.jsonl --max-length 0 --out out",
            "length",
        ),
        (
            "train --model model --train train.jsonl --max-length 1 --out out",
            "maximal length",
        ),
        (
            "train --model model --train train.jsonl --grad-accum 0 --out out",
            "accum",
        ),
        (
            "train --model model --train train.jsonl --workers 0 --out out",
            "workers",
        ),
        (
            "train --model model --train train.jsonl --epochs 0 --out out",
            "epochs",
        ),
        (
            "train --model model --train train.jsonl --max-steps 0 --out out",
            "steps",
        ),
        (
            "train --model model --train train.jsonl --rank 0 --out out",
            "--rank is 0",
        ),
        (
            "train --model model --train train.jsonl --method prompt-tuning --virtual-tokens 0 --out out",
            "virtual",
        ),
        (
            "train --model model --train train.jsonl --method prompt-tuning --virtual-tokens 64 --out out",
            "64 positions in all",
        ),
        (
            "train --model model --train train.jsonl --method prefix-tuning --virtual-tokens 0 --out out",
            "virtual",
        ),
        (
            "train --model model --train train.jsonl --method top-layers --layers 0 --out out",
            "layers",
        ),
        (
            "train --model model --train train.jsonl --method top-layers --layers 99 --out out",
            "99",
        ),
        (
            "generate --model model --prompt the --top-k 0 --temperature 1",
            "top",
        ),
        (
            "generate --model model --prompt the --temperature=-1",
            "temperature",
        ),
        (
            "generate --model model --prompt the --temperature nan",
            "temperature",
        ),
        (
            "generate --model model --prompt the --top-p 2 --temperature 1",
            "top",
        ),
        (
            "generate --model model --prompt the --max-new-tokens 0",
            "max-new-tokens is 0",
        ),
    ] {
        refused(&place, words, part);
    }
    assert!(!place.path("out").exists());
}

#[test]
fn files_of_nothing() {
    let place = place();
    edit(&place, "model/tokenizer_config.json", |config| {
        config["chat_template"] = "{% for m in messages %}{{ m.content }}{% endfor %}".into();
    });
    fs::write(place.path("empty.jsonl"), "").expect("it is written");
    fs::write(place.path("blank.jsonl"), "\n \n\t\n").expect("it is written");
    fs::create_dir(place.path("dir")).expect("a directory");
    for data in ["empty.jsonl", "blank.jsonl", "dir", "none.jsonl"] {
        for words in [
            format!("eval --model model --data {data}"),
            format!("eval --model texts --data {data}"),
            format!("train --model model --train {data} --out out"),
            format!("train --model model --train train.jsonl --valid {data} --out out"),
            format!("generate --model model --messages {data}"),
        ] {
            refused(&place, &words, data);
        }
    }
    for dir in ["dir", "none", "empty.jsonl"] {
        for words in [
            format!("eval --model {dir} --data valid.jsonl"),
            format!("eval --model model --adapter {dir} --data valid.jsonl"),
            format!("eval --model texts --adapter {dir} --data good.jsonl"),
            format!("generate --model {dir} --prompt the"),
            format!("generate --model model --adapter {dir} --prompt the"),
            format!("generate --model texts --adapter {dir} --prompt red"),
            format!("merge --model {dir} --adapter model --out out"),
            format!("merge --model model --adapter {dir} --out out"),
            format!("merge --model texts --adapter {dir} --out out"),
            format!("train --model {dir} --train train.jsonl --out out"),
            format!("train --model model --train train.jsonl --init-adapter {dir} --out out"),
            format!("inspect {dir}"),
        ] {
            refused(&place, &words, dir);
        }
    }
    assert!(!place.path("out").exists());
    // Files of zero bytes in a model's place.
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let kept = fs::read(place.path("texts").join(file)).expect("a file");
        fs::write(place.path("texts").join(file), "").expect("it is written");
        refused(&place, "eval --model texts --data good.jsonl", file);
        fs::write(place.path("texts").join(file), kept).expect("it is written");
    }
}

#[test]
fn a_decoder_with_a_head_is_told() {
    let place = place();
    let bytes = fs::read(place.path("model/model.safetensors")).expect("a file");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    let head =
        safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![2, 16], &[0; 128]);
    let mut tensors: Vec<_> = tensors.tensors();
    tensors.push(("score.weight".into(), head.expect("a tensor")));
    let written = safetensors::serialize(tensors, None).expect("safetensors");
    fs::write(place.path("model/model.safetensors"), written).expect("it is written");
    edit(&place, "model/config.json", |config| {
        config["architectures"] = json!(["LlamaForSequenceClassification"])
    });
    for words in [
        "eval --model model --data valid.jsonl",
        "generate --model model --prompt the",
        "train --model model --train train.jsonl --out out",
    ] {
        refused(&place, words, "a decoder with a head (`score.weight`)");
    }
    refused(
        &place,
        "eval --model model --data good.jsonl",
        "this takes an encoder, such as bert: good.jsonl has {\"text\", \"label\"} rows",
    );
    // The adapter of such a model.
    let out = command(&["inspect", "model"])
        .current_dir(place.path("."))
        .output();
    assert!(out.expect("it runs").status.success());
    let adapter = assets().join("../../../tests/goldens/adapters/lora_attn");
    fs::create_dir(place.path("adapter")).expect("a directory");
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        fs::copy(adapter.join(file), place.path("adapter").join(file)).expect("it is copied");
    }
    for (task, part) in [
        ("SEQ_CLS", "for labels"),
        ("FEATURE_EXTRACTION", "for embeddings"),
        ("QUESTION_ANS", "places of answers"),
    ] {
        edit(&place, "adapter/adapter_config.json", |config| {
            config["task_type"] = task.into()
        });
        for words in [
            "eval --model fresh --adapter adapter --data valid.jsonl",
            "generate --model fresh --adapter adapter --prompt the",
            "merge --model fresh --adapter adapter --out out",
            "train --model fresh --train train.jsonl --init-adapter adapter --out out",
        ] {
            refused(&place, words, part);
        }
    }
}

#[test]
fn a_pointer_of_git_lfs_is_told() {
    let place = place();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";
    for file in ["model.safetensors", "tokenizer.json", "config.json"] {
        let path = place.path("model").join(file);
        let before = fs::read(&path).expect("a file");
        fs::write(&path, pointer).expect("it is written");
        let words = "eval --model model --data valid.jsonl";
        refused(&place, words, file);
        refused(&place, words, "`git lfs pull`");
        fs::write(&path, before).expect("it is written");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_directory_that_no_file_can_name_is_refused_at_once() {
    use std::os::unix::ffi::OsStrExt;
    let place = place();
    let words = "train --model model --train train.jsonl --out";
    let ended = command(&words.split_whitespace().collect::<Vec<_>>())
        .arg(std::ffi::OsStr::from_bytes(b"a\xff"))
        .current_dir(place.path("."))
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert!(said.contains("--out a") && said.contains("UTF-8"), "{said}");
    let left = fs::read_dir(place.path(".")).expect("a directory");
    let left = left.flatten().map(|entry| entry.file_name());
    assert_eq!(
        left.filter(|name| name.as_bytes().starts_with(b"a\xff"))
            .count(),
        0
    );
}
