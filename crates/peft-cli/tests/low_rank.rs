//! `peft extract` and `peft export --to-lora`: what changes of weights are as LoRA.

mod common;

use std::fs;

use common::Place;
use common::models::{edit, refused};
use serde_json::Value;

const TRAIN: &str =
    "train --model model --train train.jsonl --lr 0.02 --batch-size 4 --max-steps 6";

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// The loss of a model, with or without an adapter.
fn loss(place: &Place, of: &str) -> f64 {
    let line = format!("eval --model {of} --data valid.jsonl --json");
    let report: Value = serde_json::from_str(&place.runs(&words(&line))).expect("JSON");
    report["loss"].as_f64().expect("a loss")
}

/// What a command that succeeds says on standard error.
#[track_caller]
fn said(place: &Place, line: &str) -> String {
    let out = place.run(&words(line));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{said}");
    said
}

#[test]
fn a_merged_adapter_is_found_again() {
    let place = Place::new();
    place.runs(&words(&format!(
        "{TRAIN} --rank 2 --targets q_proj --targets down_proj --out run"
    )));
    place.runs(&words("merge --model model --adapter run --out tuned"));
    let line = "extract --base model --tuned tuned --rank 2 --out found";
    let table = place.runs(&words(line));
    assert_eq!(table.lines().count(), 1 + 4, "{table}");
    let tuned = loss(&place, "tuned");
    assert!((loss(&place, "model --adapter found") - tuned).abs() < 1e-5);
    assert!((loss(&place, "model") - tuned).abs() > 1e-3);
    let config: Value =
        serde_json::from_slice(&place.read("found/adapter_config.json")).expect("JSON");
    assert_eq!(
        (&config["r"], &config["lora_alpha"]),
        (&2.into(), &2.into())
    );
    assert_eq!(
        config["target_modules"],
        serde_json::json!(["down_proj", "q_proj"])
    );
    // It is an adapter as any other, and goes where those go.
    said(&place, "merge --model model --adapter found --out again");
    assert!((loss(&place, "again") - tuned).abs() < 1e-5);
}

#[test]
fn an_energy_gives_each_layer_its_rank() {
    let place = Place::new();
    place.runs(&words(&format!("{TRAIN} --rank 8 --out run")));
    place.runs(&words("merge --model model --adapter run --out tuned"));
    let less = said(
        &place,
        "extract --base model --tuned tuned --energy 0.5 --out less",
    );
    assert!(less.contains("is left out"), "{less}");
    said(
        &place,
        "extract --base model --tuned tuned --energy 1 --out all",
    );
    let tuned = loss(&place, "tuned");
    let (less, all) = ("model --adapter less", "model --adapter all");
    assert!((loss(&place, all) - tuned).abs() < 1e-4);
    assert!((loss(&place, less) - tuned).abs() > (loss(&place, all) - tuned).abs());
    let config: Value =
        serde_json::from_slice(&place.read("less/adapter_config.json")).expect("JSON");
    assert!(config["r"].as_u64().expect("a rank") < 8, "{config}");
}

#[test]
fn other_methods_become_lora() {
    let place = Place::new();
    let ia3 = TRAIN.replace("--lr 0.02", "--lr 1");
    place.runs(&words(&format!("{ia3} --method ia3 --out run")));
    // No side of a layer is wider than 16 twice, so that this is all of it.
    let told = said(
        &place,
        "export --model model --adapter run --to-lora --rank 16 --out lora",
    );
    assert!(
        told.contains("0.00 % of their change is left out"),
        "{told}"
    );
    let adapted = loss(&place, "model --adapter run");
    assert!((loss(&place, "model --adapter lora") - adapted).abs() < 1e-4);
    assert!((loss(&place, "model") - adapted).abs() > 1e-3);
    let told = said(
        &place,
        "export --model model --adapter run --to-lora --rank 1 --out one",
    );
    assert!(!told.contains(" 0.00 %"), "{told}");
}

#[test]
fn what_cannot_be_lora_is_said() {
    let place = Place::new();
    place.runs(&words(&format!("{TRAIN} --method full --out tuned")));
    let told = said(
        &place,
        "extract --base model --tuned tuned --rank 2 --out found",
    );
    assert!(told.contains("model.embed_tokens.weight"), "{told}");
    let prompt = format!("{TRAIN} --method prompt-tuning --virtual-tokens 2 --out run");
    place.runs(&words(&prompt));
    edit(&place, "fresh/config.json", |config| {
        config["intermediate_size"] = 32.into();
    });
    for (line, part) in [
        (
            "extract --base model --tuned fresh --rank 2",
            "of the base and of the tuned one, `d_ff` is 24 and 32\n",
        ),
        (
            "extract --base model --tuned model --rank 2",
            "no weight of a linear layer differs",
        ),
        (
            "extract --base model --tuned tuned --energy 1.5",
            "--energy 1.5",
        ),
        ("extract --base model --tuned tuned --rank 0", "at least 1"),
        ("extract --base model --tuned tuned", "--rank"),
        ("extract --base model --tuned nowhere --rank 2", "nowhere"),
        (
            "export --model model --adapter run --to-lora --rank 2",
            "cannot be merged",
        ),
        ("export --model model --adapter run --to-lora", "--rank"),
    ] {
        refused(&place, &format!("{line} --out out"), part);
        assert!(!place.path("out").exists());
    }
    let names = fs::read_dir(place.path(".")).expect("a directory");
    let names = names.map(|entry| entry.expect("an entry").file_name());
    assert!(
        names
            .into_iter()
            .all(|name| !name.to_string_lossy().ends_with(".unfinished"))
    );
}

#[test]
fn spectra_tell_the_rank_of_what_was_added() {
    let place = Place::new();
    place.runs(&words(&format!(
        "{TRAIN} --rank 2 --targets q_proj --out run"
    )));
    place.runs(&words("merge --model model --adapter run --out tuned"));
    let layers = |of: &str| {
        let out = place.runs(&words(&format!("spectrum --model model {of} --json")));
        let found: Value = serde_json::from_str(&out).expect("JSON");
        found["layers"].as_array().expect("layers").clone()
    };
    for of in ["--adapter run", "--tuned tuned"] {
        let found = layers(of);
        assert_eq!(found.len(), 2, "a layer of two blocks");
        for layer in &found {
            let values = layer["singular_values"].as_array().expect("values");
            assert_eq!(
                (values.len(), &layer["shape"]),
                (16, &serde_json::json!([16, 16]))
            );
            let value = |i: usize| values[i].as_f64().expect("a number");
            assert!(value(1) > 1e-4 && value(2) < 1e-5, "{values:?}");
            assert!(layer["rank_of_energy"]["0.99"].as_u64() <= Some(2));
        }
    }
    assert_eq!(layers("").len(), 2 * 7);
    let table = place.runs(&words(
        "spectrum --model model --adapter run --svg energy.svg",
    ));
    assert!(table.contains("model.layers.1.self_attn.q_proj"), "{table}");
    let picture = String::from_utf8(place.read("energy.svg")).expect("UTF-8");
    assert!(picture.starts_with("<svg") && picture.contains("q_proj"));
    let nowhere = "spectrum --model model --svg nowhere/energy.svg";
    refused(&place, nowhere, "there is no directory nowhere");
    let same = "spectrum --model model --tuned model";
    refused(&place, same, "no weight of a linear layer differs");
}
