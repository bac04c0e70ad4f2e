//! `--quantise`, and models that are quantised in their files.

mod common;

use std::fs;
use std::path::Path;

use common::Place;
use common::models::edit;
use serde_json::{Value, json};

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn loss(place: &Place, line: &str) -> f64 {
    let report: Value = serde_json::from_str(&place.runs(&words(line))).expect("JSON");
    report["loss"].as_f64().expect("a loss")
}

/// Standard error of a command that succeeds.
fn said(place: &Place, line: &str) -> String {
    let out = place.run(&words(line));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{said}");
    said
}

const TRAIN: &str = "train --model model --train train.jsonl --valid valid.jsonl --lr 0.02 --batch-size 4 --workers 1 --seed 3";

/// Every kind of adapter trains, goes on to the same bits, and is taken by the other verbs.
#[test]
fn adapters_train_on_a_quantised_base() {
    let place = Place::new();
    for (i, method) in [
        "lora --rank 2 --dropout 0.1",
        "ia3",
        "prompt-tuning --virtual-tokens 3",
        "prefix-tuning --virtual-tokens 3",
    ]
    .iter()
    .enumerate()
    {
        for held in ["nf4", "q8"] {
            let run = format!("{TRAIN} --quantise {held} --method {method}");
            let out = format!("{held}{i}");
            let text = said(&place, &format!("{run} --epochs 2 --out {out}"));
            let name = if held == "q8" { "q8_0" } else { held };
            let packed = format!("14 weights are held in {name}");
            assert!(text.contains(&packed), "{text}");
            assert!(text.contains("the other 6 parameters are dense"), "{text}");
            assert!(text.contains(&format!("--quantise {held}")), "{text}");
            let eval = format!("eval --model model --data train.jsonl --json --quantise {held}");
            let (before, after) = (
                loss(&place, &eval),
                loss(&place, &format!("{eval} --adapter {out}")),
            );
            assert!(after < before, "{method} {held}: {after}, before {before}");
            place.runs(&words(&format!(
                "generate --model model --adapter {out} --quantise {held} --prompt a --max-new-tokens 2"
            )));
            let cut = format!("{out}cut");
            place.runs(&words(&format!("{run} --epochs 1 --out {cut}")));
            let longer = format!("train --resume --out {cut} --epochs 2");
            place.runs(&words(&longer));
            // What a longer run's schedule gives differs; its own resume is to the same bits.
            let again = format!("{out}again");
            place.runs(&words(&format!("{run} --epochs 1 --out {again}")));
            place.runs(&words(&format!("train --resume --out {again} --epochs 2")));
            assert_eq!(
                place.read(&format!("{cut}/adapter_model.safetensors")),
                place.read(&format!("{again}/adapter_model.safetensors"))
            );
        }
    }
}

/// The embedding and what is tied to it as well, where that is asked for.
#[test]
fn embeddings_are_quantised_where_that_is_asked_for() {
    let place = Place::new();
    let run = format!("{TRAIN} --quantise q8 --quantise-embeddings --rank 2 --max-steps 6");
    let text = said(&place, &format!("{run} --out run"));
    for part in [
        "15 weights are held in q8_0",
        "the other 5 parameters are dense",
        "--quantise q8 --quantise-embeddings",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let eval = "eval --model model --data train.jsonl --json --quantise q8";
    let (plain, both) = (
        loss(&place, eval),
        loss(&place, &format!("{eval} --quantise-embeddings")),
    );
    assert!(
        plain != both && (plain - both).abs() < 0.05 * plain,
        "{plain} {both}"
    );
    let message = place.refuses(&words(
        "train --resume --out run --max-steps 9 --quantise none",
    ));
    assert!(message.contains("quantise"), "{message}");
    place.runs(&words("train --resume --out run --max-steps 9"));
}

#[test]
fn a_run_goes_on_with_the_base_that_it_began_with() {
    let place = Place::new();
    said(
        &place,
        &format!("{TRAIN} --quantise nf4 --epochs 1 --out run"),
    );
    for other in ["q8", "none"] {
        let message = place.refuses(&words(&format!(
            "train --resume --out run --epochs 2 --quantise {other}"
        )));
        assert!(message.contains("quantise"), "{message}");
    }
}

#[test]
fn what_cannot_be_quantised_is_refused() {
    let place = Place::new();
    for method in ["full", "top-layers --layers 1"] {
        let message = place.refuses(&words(&format!(
            "{TRAIN} --quantise nf4 --method {method} --out run"
        )));
        assert!(message.contains("--method lora"), "{message}");
    }
    let message = place.refuses(&words(&format!(
        "{TRAIN} --quantise q8 --method matching --params .*q_proj.* --out run"
    )));
    assert!(message.contains("--quantise none"), "{message}");
    for method in ["norms", "matching --params .*norm.*"] {
        let out = &method[..4];
        said(
            &place,
            &format!("{TRAIN} --quantise q8 --method {method} --max-steps 2 --out {out}"),
        );
    }
    let message = place.refuses(&words(
        "eval --model model --data train.jsonl --quantise q4_k",
    ));
    assert!(message.contains("nf4"), "{message}");
    let of = |flags: &str| {
        said(
            &place,
            &format!("eval --model model --data train.jsonl {flags}"),
        )
    };
    assert_eq!(of("--base-bits 4"), of("--quantise nf4"));
    assert_eq!(of("--quantize 8"), of("--quantise q8"));
    #[cfg(feature = "ndarray")]
    {
        let message = place.refuses(&words(
            "eval --model model --data train.jsonl --quantise nf4 --device ndarray",
        ));
        assert!(message.contains("for device `flex`"), "{message}");
    }
}

/// Into the weights of the file, or into what they are in few bits.
#[test]
fn a_merge_is_of_the_base_that_is_meant() {
    let place = Place::new();
    said(
        &place,
        &format!("{TRAIN} --quantise nf4 --epochs 2 --rank 2 --out run"),
    );
    let eval = "eval --data train.jsonl --json --model";
    let (packed, dense) = (
        loss(
            &place,
            &format!("{eval} model --adapter run --quantise nf4"),
        ),
        loss(&place, &format!("{eval} model --adapter run")),
    );
    place.runs(&words("merge --model model --adapter run --out whole"));
    place.runs(&words(
        "merge --model model --adapter run --quantise nf4 --out few",
    ));
    let near = |a: f64, b: f64| (a - b).abs() < 2e-5;
    assert!(near(loss(&place, &format!("{eval} whole")), dense));
    assert!(near(loss(&place, &format!("{eval} few")), packed));
    assert!(!near(packed, dense), "{packed} {dense}");
}

/// A model that bitsandbytes has quantised is one, and one of another kind is not.
#[test]
fn bitsandbytes_directories_are_taken() {
    let place = Place::new();
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens/bnb");
    for (name, format) in [
        ("nf4", "nf4"),
        ("nf4_double", "nf4 with scales in eight bits"),
        ("int8", "int8"),
    ] {
        fs::create_dir(place.path(name)).expect("a directory");
        for file in ["config.json", "model.safetensors"] {
            fs::copy(goldens.join(name).join(file), place.path(name).join(file)).expect("a copy");
        }
        for file in ["tokenizer.json", "tokenizer_config.json"] {
            fs::copy(place.path("model").join(file), place.path(name).join(file)).expect("a copy");
        }
        let shown: Value =
            serde_json::from_str(&place.runs(&["inspect", name, "--json"])).expect("JSON");
        let kinds = shown["dtypes"].as_array().expect("dtypes");
        assert!(kinds.contains(&json!(format)), "{kinds:?}");
        // The tokens of these rows are not all in so small a vocabulary.
        edit(&place, &format!("{name}/config.json"), |config| {
            config["quantization_config"]["quant_method"] = json!("gptq");
        });
        let message = place.refuses(&["inspect", name]);
        assert!(message.contains("is of gptq"), "{message}");
        assert!(message.contains("--quantise nf4"), "{message}");
    }
}

/// A run that hardly moves leaves what it began with, which is nearer to the dense model.
#[test]
fn loftq_begins_nearer_to_the_dense_model() {
    let place = Place::new();
    let run = "train --model model --train train.jsonl --quantise nf4 --lora-init loftq --rank 8 \
               --lr 1e-12 --save-every 1 --batch-size 4 --out run";
    place.runs(&words(&format!("{run} --max-steps 2")));
    let eval = "eval --model model --data train.jsonl --json";
    let dense = loss(&place, eval);
    let held = format!("{eval} --quantise nf4");
    let packed = (loss(&place, &held) - dense).abs();
    let begun = (loss(&place, &format!("{held} --adapter run")) - dense).abs();
    assert!(begun < packed / 2.0, "{begun}, without {packed}");
    let config: Value =
        serde_json::from_slice(&place.read("run/adapter_config.json")).expect("JSON");
    assert_eq!(config["r"], 8);
    assert_eq!(config["init_lora_weights"], true);
    // It goes on by itself.
    place.runs(&words(&format!("{run} --max-steps 3 --resume")));
    let plain = run
        .replace("--quantise nf4", "")
        .replace("--out run", "--out other");
    let message = place.refuses(&words(&plain));
    assert!(message.contains("not packed"), "{message}");
}
