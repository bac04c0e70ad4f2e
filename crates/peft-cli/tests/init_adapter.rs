//! `train --init-adapter`: a run that goes on from another one's results, on new rows.

mod common;

use common::Place;
use serde_json::Value;

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// The validation losses of a run, by step.
fn losses(place: &Place, run: &str) -> Vec<(u64, f64)> {
    let text = String::from_utf8(place.read(&format!("{run}/metrics.jsonl"))).expect("UTF-8");
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let loss = |line: Value| Some((line["step"].as_u64()?, line["valid"]["loss"].as_f64()?));
    lines.filter_map(loss).collect()
}

const METHODS: [&str; 8] = [
    "lora --rank 3 --alpha 5 --dropout 0.1 --targets q_proj,down_proj",
    "ia3",
    "prompt-tuning --virtual-tokens 3",
    "p-tuning --virtual-tokens 3 --encoder-hidden 8",
    "prefix-tuning --virtual-tokens 3 --prefix-projection",
    "norms",
    "gradual --every 4",
    "top-layers --layers 1",
];

#[test]
fn a_run_begins_where_another_one_ended() {
    let place = Place::new();
    let rows =
        "train --model model --train train.jsonl --valid valid.jsonl --batch-size 8 --lr 0.01";
    for (i, method) in METHODS.iter().enumerate() {
        let first = format!("{rows} --max-steps 6 --out first{i} --method {method}");
        place.runs(&words(&first));
        let next = format!("{rows} --max-steps 3 --out next{i} --init-adapter first{i}");
        place.runs(&words(&next));
        let (then, now) = (
            losses(&place, &format!("first{i}")),
            losses(&place, &format!("next{i}")),
        );
        let (before, ended, begun) = (then[0].1, then[then.len() - 1].1, now[0].1);
        assert!(
            (ended - begun).abs() < 1e-5 * begun,
            "{method}: {ended} and {begun}"
        );
        assert!(
            (before - begun).abs() > 1e-4,
            "{method}: {before} and {begun}"
        );
        assert_ne!(now[0].1, now[now.len() - 1].1, "{method} does not train");
        // What it leaves holds all of it: as the last evaluation of the run found.
        let eval = format!("eval --model model --data valid.jsonl --json --adapter next{i}");
        let report: Value = serde_json::from_str(&place.runs(&words(&eval))).expect("JSON");
        let found = report["loss"].as_f64().expect("a loss");
        let last = now[now.len() - 1].1;
        assert!(
            (found - last).abs() < 1e-4 * last,
            "{method}: {found} and {last}"
        );
        // It goes on longer, like any run.
        place.runs(&words(&format!(
            "train --resume --out next{i} --max-steps 5"
        )));
    }
}

#[test]
fn what_contradicts_the_directory_is_refused() {
    let place = Place::new();
    let run = "train --model model --train train.jsonl --max-steps 2";
    place.runs(&words(&format!("{run} --rank 3 --out a")));
    place.runs(&words(&format!(
        "{run} --method top-layers --layers 1 --out b"
    )));
    for (flags, part) in [
        ("--init-adapter a --method ia3", "was trained by lora"),
        ("--init-adapter a --rank 4", "leave --rank out"),
        ("--init-adapter a --targets q_proj", "leave --targets out"),
        ("--init-adapter b --method top-layers --layers 2", "top"),
        ("--init-adapter b --method full", "the flags ask for"),
        ("--init-adapter none", "none"),
        ("--init-adapter model", "model"),
    ] {
        let message = place.refuses(&words(&format!("{run} --out x {flags}")));
        assert!(message.contains(part), "{flags}: {message}");
        assert!(!place.path("x").exists());
    }
}

#[test]
fn an_adapter_of_another_base_is_said_to_be_one() {
    let place = Place::new();
    place.runs(&words(
        "train --model fresh --train train.jsonl --method full --seed 9 --max-steps 2 --out other",
    ));
    let warns = |args: &str| {
        let out = place.run(&words(args));
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.success(), "{said}");
        said.contains("was trained on `model`")
    };
    for (i, method) in ["lora --modules-to-save norm", "prompt-tuning"]
        .iter()
        .enumerate()
    {
        let train = "train --model model --train train.jsonl --max-steps 2";
        place.runs(&words(&format!("{train} --out of{i} --method {method}")));
        for (model, other) in [("model", false), ("other", true)] {
            let eval = format!("eval --model {model} --data valid.jsonl --adapter of{i}");
            assert_eq!(warns(&eval), other, "{method}: {eval}");
            let next = "train --train train.jsonl --max-steps 1";
            let next = format!("{next} --init-adapter of{i} --model {model} --out {model}{i}");
            assert_eq!(warns(&next), other, "{method}: {next}");
        }
    }
}

/// PEFT's layers for the family of the base are meant.
#[test]
fn an_adapter_may_leave_its_layers_to_the_family() {
    let place = Place::new();
    let run = "train --model model --train train.jsonl --max-steps 2";
    place.runs(&words(&format!("{run} --targets q_proj,v_proj --out a")));
    let config = place.path("a/adapter_config.json");
    let mut fields: Value =
        serde_json::from_slice(&place.read("a/adapter_config.json")).expect("JSON");
    fields["target_modules"] = Value::Null;
    std::fs::write(config, fields.to_string()).expect("it is written");
    place.runs(&words(&format!("{run} --init-adapter a --out b")));
    let fields: Value = serde_json::from_slice(&place.read("b/adapter_config.json")).expect("JSON");
    assert_eq!(
        fields["target_modules"],
        serde_json::json!(["q_proj", "v_proj"])
    );
    place.runs(&words("train --resume --out b --max-steps 3"));
}
