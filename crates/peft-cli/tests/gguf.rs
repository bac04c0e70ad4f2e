//! GGUF files through the command: a model and an adapter out, a model in.

mod common;

use std::fs;

use common::Place;
use common::models::{edit, refused};

const TRAIN: &str = "train --train train.jsonl --rank 2 --lr 0.02 --batch-size 4 --max-steps 4";

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[test]
fn a_model_goes_out_with_its_adapter_and_comes_in_again() {
    let place = Place::new();
    place.runs(&words(&format!("{TRAIN} --model model --out run")));
    let out = place.run(&words(
        "export --model model --adapter run --quantise f32 --out whole.gguf",
    ));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{said}");
    assert!(said.contains("matrices in F32"), "{said}");
    let eval = |model: &str| {
        let line = format!("eval --model {model} --data valid.jsonl --json");
        let report = place.runs(&words(&line));
        let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
        report["loss"].as_f64().expect("a loss")
    };
    let merged = eval("whole.gguf");
    assert!((merged - eval("model --adapter run")).abs() < 1e-4);
    assert!((merged - eval("model")).abs() > 1e-3);
    // What was written is a base as any other.
    place.runs(&words(&format!("{TRAIN} --model whole.gguf --out again")));
    assert!(place.path("again/adapter_model.safetensors").exists());
    let answer = "generate --model whole.gguf --adapter again --prompt a --max-new-tokens 3";
    place.runs(&words(answer));
    let shown = place.runs(&words("inspect whole.gguf"));
    assert!(shown.contains("llama"), "{shown}");
    refused(
        &place,
        "export --model model --out whole.gguf",
        "whole.gguf exists already",
    );
}

/// What takes several times the memory of the file is not done without a word.
#[test]
fn blocks_that_are_held_dense_are_told() {
    let place = Place::new();
    // Rows of whole blocks.
    edit(&place, "fresh/config.json", |config| {
        config["hidden_size"] = 64.into();
        config["intermediate_size"] = 96.into();
    });
    place.runs(&words(
        "train --model fresh --train train.jsonl --method full --max-steps 2 --out wide",
    ));
    place.runs(&words(
        "export --model wide --quantise q8_0 --out packed.gguf",
    ));
    let said = |flags: &str| {
        let line = format!("eval --model packed.gguf --data valid.jsonl {flags}");
        let out = place.run(&words(&line));
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.success(), "{said}");
        said
    };
    let dense = "packed in the file are held dense";
    assert!(said("--quantise none").contains(dense));
    let packed = said("");
    assert!(
        !packed.contains(dense) && packed.contains("held in q8_0"),
        "{packed}"
    );
    // A plan holds them as training does: dense where they train.
    let planned = |flags: &str| {
        let line = format!("plan --model packed.gguf --no-probe --json {flags}");
        let plan: serde_json::Value =
            serde_json::from_str(&place.runs(&words(&line))).expect("JSON");
        plan["weights"].clone()
    };
    assert!(planned("").get("q8_0").is_some());
    let full = planned("--method full");
    assert!(
        full.get("q8_0").is_none() && full.get("f32").is_some(),
        "{full}"
    );
    #[cfg(feature = "ndarray")]
    assert!(said("--device ndarray").contains("device `flex` alone multiplies them"));
}

#[test]
fn an_adapter_alone_is_read_back_and_compared() {
    let place = Place::new();
    place.runs(&words(&format!("{TRAIN} --model model --rslora --out run")));
    let line = "export --model model --adapter run --adapter-only --out lora.gguf";
    let out = place.run(&words(line));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{said}");
    assert!(said.contains("are at most"), "{said}");
    assert_eq!(&place.read("lora.gguf")[..4], b"GGUF");
    refused(&place, "inspect lora.gguf", "adapter");
}

/// A file has numbers in 32 bits, and a config may write all digits of one.
#[test]
fn numbers_of_a_config_may_be_of_32_bits() {
    let place = Place::new();
    edit(&place, "model/config.json", |fields| {
        fields["rms_norm_eps"] = serde_json::json!(9.999_999_747_378_752e-6);
    });
    place.runs(&words(
        "export --model model --quantise f32 --out model.gguf",
    ));
}

#[test]
fn what_cannot_be_exported_leaves_nothing() {
    let place = Place::new();
    let prompt = TRAIN.replace("--rank 2", "--method prompt-tuning --virtual-tokens 2");
    place.runs(&words(&format!("{prompt} --model model --out run")));
    edit(&place, "fresh/config.json", |config| {
        config["hidden_act"] = "gelu".into();
    });
    let full = TRAIN.replace("--rank 2", "--method full");
    place.runs(&words(&format!("{full} --model fresh --out gelu")));
    refused(
        &place,
        "export --model gelu --out out.gguf",
        "of the model and of what is read back, `activation` is Gelu and Silu\n",
    );
    for (flags, part) in [
        ("--adapter run --adapter-only", "adapters of LoRA alone"),
        ("--adapter run", "cannot be merged"),
        ("--adapter nowhere", "nowhere"),
    ] {
        refused(
            &place,
            &format!("export --model model {flags} --out out.gguf"),
            part,
        );
    }
    let left = fs::read_dir(place.path("."))
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name());
    let left: Vec<String> = left
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| name.contains("gguf") || name.ends_with(".unfinished"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

/// The model's own tokenizer knows other words: with it, other losses.
#[test]
fn another_tokenizer_is_used_where_it_is_named() {
    let place = Place::new();
    fs::create_dir(place.path("other")).expect("a directory");
    let tokenizer = serde_json::json!({
        "version": "1.0", "added_tokens": [], "normalizer": null, "decoder": null,
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null,
        "model": {"type": "WordLevel", "unk_token": "x", "vocab": {"x": 1, "the": 4, "of": 5}},
    });
    fs::write(place.path("other/tokenizer.json"), tokenizer.to_string()).expect("it is written");
    place.runs(&words(
        "export --model model --quantise f32 --out whole.gguf",
    ));
    let loss = |flags: &str| {
        let line = format!("eval --data valid.jsonl --json {flags}");
        let report: serde_json::Value =
            serde_json::from_str(&place.runs(&words(&line))).expect("JSON");
        report["loss"].as_f64().expect("a loss")
    };
    let own = loss("--model whole.gguf");
    let other = loss("--model whole.gguf --tokenizer other");
    assert!((own - other).abs() > 1e-2, "{own} {other}");
    assert!((own - loss("--model whole.gguf --tokenizer model")).abs() < 1e-6);
    // It goes with the adapter, which needs the flag no more.
    let flags = format!("{TRAIN} --model whole.gguf --tokenizer other --out run");
    place.runs(&words(&flags));
    assert_eq!(
        place.read("run/tokenizer.json"),
        place.read("other/tokenizer.json")
    );
    let with = loss("--model whole.gguf --adapter run");
    let named = loss("--model whole.gguf --adapter run --tokenizer other");
    assert!((with - named).abs() < 1e-9);
    refused(
        &place,
        "eval --model model --data valid.jsonl --tokenizer run/nowhere",
        "has no tokenizer.json",
    );
}
