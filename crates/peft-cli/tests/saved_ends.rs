//! Adapters whose file holds the base's embedding and output layer, which PEFT puts over the
//! base's.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::Place;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize_to_file};
use serde_json::Value;

const EMBEDDING: &str = "model.embed_tokens.weight";
const SAID: &str = "warning: `model.embed_tokens.weight` of the base is replaced by the adapter's";

type Tensors = BTreeMap<String, (Vec<usize>, Vec<u8>)>;

fn tensors(file: &Path) -> Tensors {
    let bytes = std::fs::read(file).expect("a file");
    let sound = SafeTensors::deserialize(&bytes).expect("sound");
    let tensors = sound.tensors().into_iter();
    tensors
        .map(|(key, view)| {
            assert_eq!(view.dtype(), Dtype::F32, "{key}");
            (key, (view.shape().to_vec(), view.data().to_vec()))
        })
        .collect()
}

fn write(file: &Path, tensors: &Tensors) {
    let views = tensors.iter().map(|(key, (shape, bytes))| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        (key, view.expect("a tensor"))
    });
    serialize_to_file(views, None, file).expect("it is written");
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// The loss on the validation rows, and what is said.
fn evaluated(place: &Place, flags: &str) -> (f64, String) {
    let line = format!("eval --data valid.jsonl --json {flags}");
    let out = place.run(&words(&line));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{said}");
    let report: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    (report["loss"].as_f64().expect("a loss"), said)
}

/// A model whose output layer is tied to its embedding; `plain`, an adapter; `other`, the model
/// with another embedding; and `ends`, the adapter with that embedding in its file for both ends.
fn place() -> Place {
    let place = Place::new();
    place.runs(&words(
        "train --model model --train train.jsonl --max-steps 4 --lr 0.01 --rank 2 --out plain",
    ));
    for (from, to) in [("model", "other"), ("plain", "ends")] {
        std::fs::create_dir(place.path(to)).expect("a directory");
        for file in std::fs::read_dir(place.path(from)).expect("a directory") {
            let from = file.expect("a file").path();
            if from.is_file() {
                let to = place.path(to).join(from.file_name().expect("a name"));
                std::fs::copy(from, to).expect("it is copied");
            }
        }
    }
    let file = place.path("other/model.safetensors");
    let mut model = tensors(&file);
    let (shape, bytes) = model[EMBEDDING].clone();
    let turned = bytes.chunks_exact(4).rev().flatten().copied().collect();
    model.insert(EMBEDDING.into(), (shape, turned));
    write(&file, &model);
    let file = place.path("ends/adapter_model.safetensors");
    let mut adapter = tensors(&file);
    for key in [EMBEDDING, "lm_head.weight"] {
        adapter.insert(format!("base_model.model.{key}"), model[EMBEDDING].clone());
    }
    write(&file, &adapter);
    place
}

#[test]
fn an_adapters_own_ends_are_put_over_the_bases() {
    let place = place();
    let (expected, said) = evaluated(&place, "--model other --adapter plain");
    assert!(!said.contains("replaced"), "{said}");
    let (of_base, _) = evaluated(&place, "--model model --adapter plain");
    assert!((of_base - expected).abs() > 0.01, "{of_base}, {expected}");

    let (found, said) = evaluated(&place, "--model model --adapter ends");
    assert_eq!(found, expected);
    assert!(said.contains(SAID), "{said}");
    // Nothing is new to a base that has them.
    let (found, said) = evaluated(&place, "--model other --adapter ends");
    assert_eq!(found, expected);
    assert!(!said.contains("replaced"), "{said}");

    let flags = "--prompt word --max-new-tokens 8 --raw";
    let generated = |of: &str| place.runs(&words(&format!("generate {of} {flags}")));
    assert_eq!(
        generated("--model model --adapter ends"),
        generated("--model other --adapter plain")
    );

    let out = place.run(&words("merge --model model --adapter ends --out merged"));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success() && said.contains(SAID), "{said}");
    let (found, _) = evaluated(&place, "--model merged");
    assert!((found - expected).abs() < 1e-4, "{found} and {expected}");
    let merged = tensors(&place.path("merged/model.safetensors"));
    let model = tensors(&place.path("other/model.safetensors"));
    assert_eq!(merged[EMBEDDING], model[EMBEDDING]);
    assert!(!merged.contains_key("lm_head.weight"));
}

/// What goes on from such an adapter is saved with them, whichever step is kept.
#[test]
fn a_run_that_begins_with_such_an_adapter_saves_them() {
    let place = place();
    let (begun, _) = evaluated(&place, "--model model --adapter ends");
    let run = "train --model model --train train.jsonl --valid valid.jsonl --init-adapter ends \
               --max-steps 2 --lr 1e-3 --out next";
    let out = place.run(&words(run));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success() && said.contains(SAID), "{said}");
    let metrics = String::from_utf8(place.read("next/metrics.jsonl")).expect("UTF-8");
    let losses: Vec<f64> = metrics
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .filter_map(|line| line["valid"]["loss"].as_f64())
        .collect();
    assert!((losses[0] - begun).abs() < 1e-5 * begun, "{losses:?}");
    let (last, said) = evaluated(&place, "--model model --adapter next");
    assert!(said.contains(SAID), "{said}");
    assert!((losses[losses.len() - 1] - last).abs() < 1e-4 * last);
    let key = format!("base_model.model.{EMBEDDING}");
    let (ends, next) = (
        tensors(&place.path("ends/adapter_model.safetensors")),
        tensors(&place.path("next/adapter_model.safetensors")),
    );
    assert_eq!(ends[&key], next[&key]);
    place.runs(&words("train --resume --out next --max-steps 3"));
    evaluated(&place, "--model model --adapter next");
}

#[test]
fn ends_of_another_vocabulary_are_refused() {
    let place = place();
    let file = place.path("ends/adapter_model.safetensors");
    let mut adapter = tensors(&file);
    for (shape, bytes) in adapter.values_mut().filter(|(shape, _)| shape[0] == 4096) {
        shape[0] = 4000;
        bytes.truncate(4 * shape[0] * shape[1]);
    }
    write(&file, &adapter);
    for verb in [
        "eval --data valid.jsonl --model model --adapter ends",
        "generate --prompt word --model model --adapter ends",
        "merge --model model --adapter ends --out merged",
        "train --model model --train train.jsonl --init-adapter ends --out next",
    ] {
        let message = place.refuses(&words(verb));
        let said = "is of 4000 tokens, but the model has 4096";
        assert!(message.contains(said), "{verb}: {message}");
        assert!(message.contains("lm_head") && message.contains("embed_tokens"));
    }
}
