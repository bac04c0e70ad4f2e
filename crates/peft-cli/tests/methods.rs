//! Every method by the command: what it leaves is what the other verbs take, and a run that is cut
//! goes on to the same bits.

mod common;

use std::fs;

use common::Place;
use serde_json::Value;

const RUN: &str = "train --model model --train train.jsonl --valid valid.jsonl --lr 0.02 --batch-size 4 --epochs 2 --workers 1 --seed 3";

fn words<'a>(line: &'a str, extra: &[&'a str]) -> Vec<&'a str> {
    line.split_whitespace()
        .chain(extra.iter().copied())
        .collect()
}

/// Flags, and the files that hold what trained.
const ADAPTERS: [(&str, &[&str]); 37] = [
    ("lora --rank 2", &["adapter_model.safetensors"]),
    ("ia3", &["adapter_model.safetensors"]),
    (
        "prompt-tuning --virtual-tokens 3",
        &["adapter_model.safetensors"],
    ),
    (
        "prompt-tuning --virtual-tokens 3 --prompt-init text:noun",
        &["adapter_model.safetensors"],
    ),
    (
        "p-tuning --virtual-tokens 3 --encoder-hidden 8",
        &["adapter_model.safetensors", "prompt_encoder.safetensors"],
    ),
    (
        "p-tuning --virtual-tokens 3 --encoder lstm",
        &["adapter_model.safetensors", "prompt_encoder.safetensors"],
    ),
    (
        "prefix-tuning --virtual-tokens 3 --prompt-init text:noun",
        &["adapter_model.safetensors"],
    ),
    (
        "prefix-tuning --virtual-tokens 3 --prefix-projection",
        &["adapter_model.safetensors", "prefix_encoder.safetensors"],
    ),
    (
        "lora --rank 2 --dora --dropout 0.1",
        &["adapter_model.safetensors"],
    ),
    (
        "lora --rank 2 --lora-bias --lora-fa --lora-plus-ratio 4",
        &["adapter_model.safetensors"],
    ),
    (
        "lora --rank 2 --lora-init pissa_niter_4 --lora-plus-ratio 2",
        &["adapter_model.safetensors"],
    ),
    (
        "lora --rank 2 --lora-init olora --dora",
        &["adapter_model.safetensors"],
    ),
    (
        "lora --rank 2 --lora-init eva",
        &["adapter_model.safetensors"],
    ),
    (
        "lora --rank 2 --lora-init lora_ga",
        &["adapter_model.safetensors"],
    ),
    (
        "lora --rank 2 --lora-init corda_kpm",
        &["adapter_model.safetensors"],
    ),
    ("adalora --rank 2", &["adapter_model.safetensors"]),
    (
        "trainable-tokens --token-ids 1,5,300",
        &["adapter_model.safetensors"],
    ),
    (
        "lora --rank 2 --token-ids 1,5",
        &["adapter_model.safetensors"],
    ),
    (
        "loha --rank 2 --module-dropout 0.2",
        &["adapter_model.safetensors"],
    ),
    (
        "lokr --rank 2 --rank-dropout 0.1 --decompose-both",
        &["adapter_model.safetensors"],
    ),
    (
        "vera --rank 16 --dropout 0.1 --no-save-projection",
        &["adapter_model.safetensors"],
    ),
    (
        "randlora --rank 4 --projection-seed 5",
        &["adapter_model.safetensors"],
    ),
    (
        "vblora --rank 2 --vectors 16 --dropout 0.1",
        &["adapter_model.safetensors"],
    ),
    (
        "vblora --vectors 9 --vector-length 4 --top-k 3 --save-only-top-k",
        &["adapter_model.safetensors"],
    ),
    ("oft --block-size 4", &["adapter_model.safetensors"]),
    (
        "boft --block-size 4 --butterfly-factors 2",
        &["adapter_model.safetensors"],
    ),
    ("hra --rank 4", &["adapter_model.safetensors"]),
    (
        "road --group-size 4 --variant road-2",
        &["adapter_model.safetensors"],
    ),
    (
        "miss --rank 5 --dropout 0.1",
        &["adapter_model.safetensors"],
    ),
    ("hira --rank 2", &["adapter_model.safetensors"]),
    (
        "delora --rank 3 --lambda 4 --dropout 0.1",
        &["adapter_model.safetensors"],
    ),
    (
        "gralora --rank 4 --blocks 2 --hybrid-rank 2",
        &["adapter_model.safetensors"],
    ),
    (
        "shira --rank 1 --projection-seed 3",
        &["adapter_model.safetensors"],
    ),
    (
        "fourierft --coefficients 20 --scaling 90",
        &["adapter_model.safetensors"],
    ),
    ("c3a --block-size 4", &["adapter_model.safetensors"]),
    (
        "waveft --coefficients 30 --wavelet sym3 --proportional",
        &["adapter_model.safetensors"],
    ),
    (
        "waveft --coefficients 30 --wavelet none",
        &["adapter_model.safetensors"],
    ),
];

fn loss(place: &Place, adapter: &str) -> f64 {
    let mut line = words("eval --model model --data train.jsonl --json", &[]);
    if !adapter.is_empty() {
        line.extend(["--adapter", adapter]);
    }
    let report: Value = serde_json::from_str(&place.runs(&line)).expect("JSON");
    report["loss"].as_f64().expect("a loss")
}

#[test]
fn an_adapter_of_each_kind_trains_and_is_taken_by_the_other_verbs() {
    let place = Place::new();
    let before = loss(&place, "");
    for (i, (flags, files)) in ADAPTERS.iter().enumerate() {
        let out = format!("run{i}");
        let method = ["--method"].into_iter().chain(flags.split_whitespace());
        let method: Vec<&str> = method.chain(["--out", &out]).collect();
        place.runs(&words(RUN, &method));
        for file in *files {
            assert!(place.path(&out).join(file).is_file(), "{flags}: {file}");
        }
        let after = loss(&place, &out);
        assert!(after < before, "{flags}: {after}, before {before}");
        let said = place.runs(&words(
            "generate --model model --prompt a --max-new-tokens 2 --adapter",
            &[&out],
        ));
        assert!(!said.is_empty(), "{flags}");
        let shown: Value =
            serde_json::from_str(&place.runs(&["inspect", &out, "--json"])).expect("JSON");
        let name = flags.split_whitespace().next();
        assert_eq!(shown["method"].as_str(), name, "{shown}");
        if flags.contains("virtual-tokens") {
            assert_eq!(shown["virtual_tokens"], 3, "{shown}");
            let message = place.refuses(&words("merge --model model --out m --adapter", &[&out]));
            assert!(message.contains("cannot be merged"), "{message}");
            assert!(message.contains("--method lora"), "{message}");
        } else if !flags.contains("--lora-bias") {
            let merged = format!("{out}-merged");
            let line = words("merge --model model --adapter", &[&out, "--out", &merged]);
            place.runs(&line);
            let line = words("eval --data train.jsonl --json --model", &[&merged]);
            let report: Value = serde_json::from_str(&place.runs(&line)).expect("JSON");
            let apart = report["loss"].as_f64().expect("a loss") - after;
            assert!(apart.abs() < 1e-5, "{flags}: {apart}");
        }
    }
}

#[test]
fn what_trains_beside_a_plain_adapter_goes_on_where_it_was_cut() {
    let place = Place::new();
    for (i, (flags, files)) in ADAPTERS.iter().enumerate().skip(4) {
        let method = ["--method"].into_iter().chain(flags.split_whitespace());
        let method: Vec<&str> = method.collect();
        let (whole, cut) = (format!("whole{i}"), format!("cut{i}"));
        // Enough steps that it is still running when its first state is there.
        let steps = ["--max-steps", "100", "--save-every", "3", "--out"];
        let lines = [&whole, &cut].map(|out| [&method[..], &steps, &[out.as_str()]].concat());
        let line = |i: usize| words(RUN, &lines[i]);
        place.runs(&line(0));
        place.kills(&line(1), &format!("{cut}/resume.safetensors"));
        assert!(
            !place.path(&cut).join(files[0]).exists(),
            "it had ended before it was killed"
        );
        place.runs(&["train", "--resume", "--out", &cut]);
        for file in *files {
            let read = |dir: &str| place.read(&format!("{dir}/{file}"));
            assert!(read(&whole) == read(&cut), "{flags}: {file}");
        }
    }
}

/// Flags of methods that train the model's own parameters.
const OWN: [&str; 10] = [
    "full --layer-decay 0.8",
    "top-layers --layers 1",
    "top-layers --layers 1 --cache-trunk",
    "freeze-bottom --layers 1",
    "norms",
    "matching --params .*mlp.*",
    "gradual --every 4",
    "gradual --every 1epoch --from bottom",
    "lisa --layers 1 --every 3",
    "badam --every 3",
];

#[test]
fn a_models_own_parameters_train_by_each_strategy() {
    let place = Place::new();
    let before = loss(&place, "");
    for (i, flags) in OWN.iter().enumerate() {
        let out = format!("run{i}");
        let method = ["--method"].into_iter().chain(flags.split_whitespace());
        let method: Vec<&str> = method.chain(["--out", &out]).collect();
        place.runs(&words(RUN, &method));
        let whole = flags.starts_with("full");
        assert_eq!(
            place.path(&out).join("config.json").exists(),
            whole,
            "{flags}"
        );
        let of_model = |model: &str| {
            let line = words("eval --data train.jsonl --json --model", &[model]);
            let report: Value = serde_json::from_str(&place.runs(&line)).expect("JSON");
            report["loss"].as_f64().expect("a loss")
        };
        let after = if whole {
            of_model(&out)
        } else {
            let after = loss(&place, &out);
            // What trained is a small part of the model, or all that a schedule has reached, and
            // merges into a checkpoint.
            let shown: Value =
                serde_json::from_str(&place.runs(&["inspect", &out, "--json"])).expect("JSON");
            assert!(shown["parameters"].as_u64() > Some(0), "{shown}");
            let merged = format!("{out}-merged");
            let line = words(
                "merge --model model",
                &["--adapter", &out, "--out", &merged],
            );
            place.runs(&line);
            let of_merged = of_model(&merged);
            assert!(
                (of_merged - after).abs() < 1e-5,
                "{flags}: {of_merged}, {after}"
            );
            after
        };
        assert!(after < before, "{flags}: {after}, before {before}");
    }
    // The same steps whether the states below are computed anew or kept.
    let metrics = |run: &str| {
        let text = fs::read_to_string(place.path(run).join("metrics.jsonl")).expect("metrics");
        let lines = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines
            .filter_map(|line| line["train"]["loss"].as_f64())
            .collect::<Vec<f64>>()
    };
    let (plain, kept) = (metrics("run1"), metrics("run2"));
    assert_eq!(plain.len(), kept.len());
    for (plain, kept) in plain.iter().zip(&kept) {
        assert!((plain - kept).abs() < 1e-5, "{plain} {kept}");
    }
}

#[test]
fn a_methods_mistakes_are_named() {
    let place = Place::new();
    for (flags, expected) in [
        ("--method full --rank 4", "--rank; that is for lora"),
        (
            "--method prompt-tuning --virtual-tokens 0",
            "virtual tokens",
        ),
        ("--method prompt-tuning --virtual-tokens 64", "64 positions"),
        ("--method prompt-tuning --pack", "--pack"),
        ("--method prefix-tuning --prompt-init vocab", "`random`"),
        (
            "--method prefix-tuning --prompt-init text:noun --prefix-projection",
            "projection",
        ),
        ("--method top-layers --layers 9", "1 to 2"),
        ("--method gradual", "--every"),
        ("--method matching", "--params"),
        ("--method matching --params nothing", "nothing"),
        (
            "--method matching --params q_proj.weight",
            "did you mean `.*q_proj.weight`",
        ),
        ("--method bitfit", "bias"),
        ("--method head", "tied"),
    ] {
        let message = place.refuses(&words(RUN, &words(flags, &["--out", "x"])));
        assert!(message.contains(expected), "{flags}: {message}");
        assert!(!place.path("x").exists(), "{flags} left a directory");
    }
}
