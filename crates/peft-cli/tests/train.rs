//! `train`, `eval`, `generate` and `--resume` on a tiny model with the bundled vocabulary and rows.

mod common;

use std::fs;

use common::Place;
use serde_json::Value;

const LORA: [&str; 15] = [
    "train",
    "--model",
    "model",
    "--train",
    "train.jsonl",
    "--valid",
    "valid.jsonl",
    "--rank",
    "2",
    "--lr",
    "0.01",
    "--batch-size",
    "4",
    "--seed",
    "3",
];

fn lora<'a>(extra: &[&'a str]) -> Vec<&'a str> {
    [&LORA, extra].concat()
}

#[test]
fn a_run_says_the_rate_of_its_method() {
    let place = Place::new();
    for (method, rate) in [("lora", "1e-3"), ("prompt-tuning", "3e-2")] {
        let run = "train --model model --train train.jsonl --max-steps 1 --method";
        let args = run.split(' ').chain([method, "--out", method]);
        let out = place.run(&args.collect::<Vec<_>>());
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        let origin = format!("learning rate {rate} ({method}'s default), linear");
        assert!(out.status.success() && said.contains(&origin), "{said}");
        let end = format!("at a learning rate of {rate} ({method}'s default)");
        assert!(said.contains(&end), "{said}");
    }
}

#[test]
fn a_run_leaves_what_the_other_verbs_take() {
    let place = Place::new();
    let out = place.run(&lora(&[
        "--max-steps",
        "12",
        "--eval-every",
        "5",
        "--out",
        "run",
    ]));
    let shown = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{shown}");
    for part in [
        "trainable",
        "step 1/12",
        "target tokens/s",
        "validation loss",
        "s left",
        "saved run",
        "learning rate 1e-2,",
        "at a learning rate of 1e-2\n",
        "(before training)",
        "best: step 12",
        "peft eval --model model --adapter run/best --data valid.jsonl",
        "peft merge --model model --adapter run/best --out run-merged",
    ] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    assert!(out.stdout.is_empty());
    assert!(!place.path("run/resume.safetensors").exists());

    let metrics = String::from_utf8(place.read("run/metrics.jsonl")).expect("UTF-8");
    let metrics: Vec<Value> = metrics
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let of = |kind: &str| -> Vec<u64> {
        let lines = metrics.iter().filter(|line| line[kind].is_object());
        lines.filter_map(|line| line["step"].as_u64()).collect()
    };
    assert_eq!(of("train"), (1..=12).collect::<Vec<_>>());
    assert_eq!(of("valid"), [0, 5, 10, 12]);

    let eval = |extra: &[&str]| -> Value {
        let args = [
            "eval",
            "--model",
            "model",
            "--data",
            "valid.jsonl",
            "--json",
        ];
        serde_json::from_str(&place.runs(&[&args, extra].concat())).expect("one JSON object")
    };
    let (plain, tuned) = (eval(&[]), eval(&["--adapter", "run", "--choices"]));
    let loss = |report: &Value| report["loss"].as_f64().expect("a loss");
    assert!(loss(&tuned) < loss(&plain));
    let last = metrics
        .iter()
        .rfind(|line| line["valid"].is_object())
        .expect("an evaluation");
    assert!((loss(&tuned) - loss(&last["valid"])).abs() < 1e-4);
    assert!((0.0..=1.0).contains(&tuned["accuracy"].as_f64().expect("an accuracy")));
    assert_eq!(tuned["examples"], 8);
    // The best adapter is there too, and no worse.
    assert!(loss(&eval(&["--adapter", "run/best"])) <= loss(&tuned) + 1e-6);

    place.runs(&[
        "merge",
        "--model",
        "model",
        "--adapter",
        "run",
        "--out",
        "merged",
    ]);
    let generate = |args: &[&str]| {
        let all = [
            "generate",
            "--prompt",
            "a small animal. category:",
            "--max-new-tokens",
            "5",
        ];
        place.runs(&[&all, args].concat())
    };
    let merged = generate(&["--model", "merged"]);
    assert_eq!(merged, generate(&["--model", "model", "--adapter", "run"]));
    let inspected: Value =
        serde_json::from_str(&place.runs(&["inspect", "run", "--json"])).expect("one JSON object");
    assert_eq!(inspected["kind"], "adapter");
}

#[test]
fn a_killed_run_goes_on_to_the_same_bits() {
    let place = Place::new();
    // Enough steps that it is still running when its first state is there.
    let settings = [
        "--max-steps",
        "150",
        "--dropout",
        "0.1",
        "--save-every",
        "3",
        "--eval-every",
        "20",
    ];
    place.runs(&lora(&[&settings[..], &["--out", "whole"]].concat()));
    let cut = lora(&[&settings[..], &["--out", "cut"]].concat());
    place.kills(&cut, "cut/resume.safetensors");
    assert!(
        !place.path("cut/adapter_model.safetensors").exists(),
        "it had ended before it was killed"
    );

    // Another setting would be another run.
    let message = place.refuses(&["train", "--resume", "--out", "cut", "--lr", "0.5"]);
    assert!(message.contains("learning_rate"), "{message}");
    place.runs(&["train", "--resume", "--out", "cut"]);
    let adapter = |run: &str| place.read(&format!("{run}/adapter_model.safetensors"));
    assert!(adapter("whole") == adapter("cut"));
    assert!(adapter("whole/best") == adapter("cut/best"));
    let losses = |run: &str| -> Vec<Value> {
        let text = String::from_utf8(place.read(&format!("{run}/metrics.jsonl"))).expect("UTF-8");
        let lines = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.map(|line| line["train"]["loss"].clone()).collect()
    };
    assert_eq!(losses("whole"), losses("cut"));
    let message = place.refuses(&["train", "--resume", "--out", "cut"]);
    assert!(message.contains("the run is done"), "{message}");
}

#[test]
fn mistakes_are_named() {
    let place = Place::new();
    let train = |extra: &[&'static str]| {
        [
            &["train", "--model", "model", "--train", "train.jsonl"],
            extra,
        ]
        .concat()
    };
    place.runs(&lora(&["--max-steps", "1", "--out", "run"]));
    for (args, parts) in [
        (
            train(&["--out", "run"]),
            &["holds a run already", "--resume"][..],
        ),
        (vec!["train", "--resume", "--out", "none"], &["none"]),
        (
            train(&["--out", "x", "--targets", "q_prj"]),
            &["q_prj", "did you mean", "q_proj"],
        ),
        (train(&["--out", "x", "--rank", "0"]), &["rank"]),
        (train(&["--out", "x", "--batch-size", "0"]), &["batch size"]),
        (train(&["--out", "x", "--dtype", "int8"]), &["int8", "bf16"]),
        (
            train(&["--out", "x", "--method", "lroa"]),
            &["lroa", "lora"],
        ),
        (train(&["--out", "x", "--rnak", "2"]), &["--rnak", "--rank"]),
        (
            vec!["train", "--model", "model", "--out", "x"],
            &["--train"],
        ),
        (
            vec![
                "train", "--model", "model", "--train", "no.jsonl", "--out", "x",
            ],
            &["no.jsonl"],
        ),
        (
            vec![
                "train",
                "--model",
                "fresh",
                "--train",
                "train.jsonl",
                "--out",
                "x",
            ],
            &["model.safetensors"],
        ),
        (
            vec![
                "eval",
                "--model",
                "model",
                "--adapter",
                "model",
                "--data",
                "valid.jsonl",
            ],
            &["adapter"],
        ),
        (
            vec!["generate", "--model", "run", "--prompt", "a"],
            &["run"],
        ),
    ] {
        let message = place.refuses(&args);
        for part in parts {
            assert!(
                message.contains(part),
                "{part} is not in {message} ({args:?})"
            );
        }
        assert!(!place.path("x").exists(), "{args:?} left a directory");
    }

    fs::write(
        place.path("bad.jsonl"),
        "{\"prompt\": \"a\", \"completion\": \"b\"}\n{\"prompt\": \"a\"}\n{oops}\n",
    )
    .expect("it is written");
    let message = place.refuses(&[
        "train",
        "--model",
        "model",
        "--train",
        "bad.jsonl",
        "--out",
        "x",
    ]);
    for part in ["2 bad rows", "line 2", "line 3"] {
        assert!(message.contains(part), "{message}");
    }
    fs::write(place.path("run.toml"), "rnak = 4\n").expect("it is written");
    let message = place.refuses(&train(&["--out", "x", "--config", "run.toml"]));
    assert!(message.contains("did you mean `rank`?"), "{message}");
}
