//! `predict`: rows with what a model says to them, gone on with after a kill, and how good it is.

mod common;

use std::fs;

use serde_json::{Map, Value, json};

use self::common::models::{edit, place as models, refused, write};
use self::common::{Place, command};

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn lines(place: &Place, name: &str) -> Vec<Map<String, Value>> {
    let text = String::from_utf8(place.read(name)).expect("UTF-8");
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("an object"))
        .collect()
}

fn report(place: &Place, line: &str) -> Value {
    serde_json::from_str(&place.runs(&words(line))).expect("JSON")
}

const GENERATES: &str =
    "predict --model model --data valid.jsonl --max-new-tokens 4 --batch-size 3 --json --out";

#[test]
fn a_run_that_ended_early_goes_on_to_the_same_bytes() {
    let place = Place::new();
    let found = report(&place, &format!("{GENERATES} whole.jsonl"));
    let whole = lines(&place, "whole.jsonl");
    let rows = lines(&place, "valid.jsonl");
    assert_eq!((whole.len(), found["rows"].as_u64()), (8, Some(8)));
    let mut same = 0;
    for (i, (line, row)) in whole.iter().zip(&rows).enumerate() {
        assert_eq!(line["row"], json!(i + 1));
        assert_eq!(
            (&line["prompt"], &line["completion"]),
            (&row["prompt"], &row["completion"])
        );
        let prompt = row["prompt"].as_str().expect("a text");
        let args = [
            "generate",
            "--model",
            "model",
            "--max-new-tokens",
            "4",
            "--json",
            "--prompt",
        ];
        let alone = place.runs(&[&args[..], &[prompt]].concat());
        let alone: Value = serde_json::from_str(&alone).expect("JSON");
        assert_eq!(line["prediction"], alone["text"]);
        same += usize::from(
            line["prediction"].as_str().map(str::trim) == row["completion"].as_str().map(str::trim),
        );
    }
    assert_eq!(found["exact_match"], json!(same as f64 / 8.0));
    assert!(found["rouge_l"].as_f64().is_some(), "{found}");

    let bytes = place.read("whole.jsonl");
    let text = String::from_utf8(bytes.clone()).expect("UTF-8");
    let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
    for cut in [0, ends[0] / 2, ends[0] + 1, ends[4] + 9, ends[7]] {
        fs::write(place.path("whole.jsonl"), &bytes[..cut]).expect("it is written");
        let again = report(&place, &format!("{GENERATES} whole.jsonl"));
        assert_eq!(place.read("whole.jsonl"), bytes, "cut at {cut}");
        assert_eq!(again, found);
    }
    // Of other settings, of other rows, of nobody's, and of lines that are others'.
    for (flags, part) in [
        ("--temperature 1", "other settings: `generation`"),
        ("--max-rows 3", "other settings: `rows`"),
        ("--dtype bf16", "other settings: `dtype`"),
    ] {
        refused(&place, &format!("{GENERATES} whole.jsonl {flags}"), part);
        assert_eq!(place.read("whole.jsonl"), bytes);
    }
    refused(
        &place,
        &format!("{GENERATES} train.jsonl"),
        "exists already",
    );
    let swapped = text.replacen("\"row\":1", "\"row\":2", 1);
    fs::write(place.path("whole.jsonl"), swapped).expect("it is written");
    refused(
        &place,
        &format!("{GENERATES} whole.jsonl"),
        "a line 1 that is not row 1",
    );
}

#[test]
fn rows_need_no_answer() {
    let place = Place::new();
    let template = "{% for m in messages %}<s>{{ m.role }} {{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}<s>assistant {% endif %}";
    fs::write(place.path("model/chat_template.jinja"), template).expect("it is written");
    let asked = |name: &str, rows: &[&str], flags: &str| {
        write(&place, name, rows);
        let found = report(
            &place,
            &format!(
                "predict --model model --data {name} --max-new-tokens 4 --json --out {name}.out {flags}"
            ),
        );
        (found, lines(&place, &format!("{name}.out")))
    };
    let (found, bare) = asked("a.jsonl", &[r#"{"prompt": "a dog", "id": 7}"#], "--chat");
    assert_eq!(
        (&bare[0]["id"], found.get("exact_match")),
        (&json!(7), None)
    );
    let says = &bare[0]["prediction"];
    for (name, row) in [
        (
            "b.jsonl",
            r#"{"messages": [{"role": "user", "content": "a dog"}]}"#,
        ),
        (
            "c.jsonl",
            r#"{"prompt": [{"role": "user", "content": "a dog"}]}"#,
        ),
        ("d.jsonl", r#"{"instruction": "a dog", "input": ""}"#),
    ] {
        assert_eq!(asked(name, &[row], "").1[0]["prediction"], *says, "{row}");
    }
    // Two of three are measured.
    let wanted = json!({ "prompt": "a dog", "completion": says }).to_string();
    let rows = [
        &wanted,
        r#"{"prompt": "a dog", "completion": "other"}"#,
        r#"{"prompt": "x"}"#,
    ];
    let (found, _) = asked("e.jsonl", &rows, "--chat");
    assert_eq!(
        (&found["exact_match"], &found["examples"]),
        (&json!(0.5), &json!(2))
    );

    let long = json!({ "prompt": "word ".repeat(80) }).to_string();
    write(&place, "long.jsonl", &[r#"{"prompt": "a"}"#, &long]);
    let line = "predict --model model --out o --data";
    refused(
        &place,
        &format!("{line} long.jsonl"),
        "line 2: the prompt has",
    );
    write(&place, "text.jsonl", &[r#"{"text": "a"}"#]);
    refused(&place, &format!("{line} text.jsonl"), "generation takes");
    write(
        &place,
        "taken.jsonl",
        &[r#"{"prompt": "a", "prediction": "b"}"#],
    );
    refused(
        &place,
        &format!("{line} taken.jsonl"),
        "a column `prediction`",
    );
    assert!(!place.path("o").exists());
}

#[test]
fn what_encoders_say_is_what_eval_and_generate_say() {
    let place = models();
    write(
        &place,
        "values.jsonl",
        &[
            r#"{"text": "red", "label": 1.5}"#,
            r#"{"text": "blue red", "label": 0.5}"#,
        ],
    );
    for (model, data, measures) in [
        (
            "texts",
            "good.jsonl",
            &["accuracy", "macro_f1", "micro_f1"][..],
        ),
        ("words", "tags.jsonl", &["accuracy", "macro_f1", "micro_f1"]),
        ("values", "values.jsonl", &["pearson", "spearman"]),
    ] {
        let found = report(
            &place,
            &format!("predict --model {model} --data {data} --out {model}.out --json"),
        );
        let evaluated = report(
            &place,
            &format!("eval --model {model} --data {data} --json"),
        );
        for measure in measures {
            assert_eq!(found[*measure], evaluated[*measure], "{model}: {found}");
        }
        for line in lines(&place, &format!("{model}.out")) {
            let text = match &line.get("tokens") {
                Some(Value::Array(words)) => {
                    let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
                    words.join(" ")
                }
                _ => line["text"].as_str().expect("a text").to_owned(),
            };
            let alone = place.runs(&["generate", "--model", model, "--json", "--prompt", &text]);
            let alone: Value = serde_json::from_str(&alone).expect("JSON");
            let said = ["label", "tags", "value"]
                .iter()
                .find_map(|key| alone.get(*key));
            assert_eq!(Some(&line["prediction"]), said);
            assert_eq!(line.get("probabilities"), alone.get("probabilities"));
        }
    }
    // Where each has one label, every row is counted once; where several apply, each by itself.
    let found = report(
        &place,
        "predict --model texts --data good.jsonl --out one.out --json",
    );
    let sum = |of: &Value| -> u64 {
        let rows = of.as_object().expect("an object").values();
        rows.flat_map(|row| row.as_object().expect("an object").values())
            .filter_map(Value::as_u64)
            .sum()
    };
    assert_eq!((sum(&found["confusion"]), sum(&found["by_label"])), (2, 2));
    edit(&place, "texts/config.json", |config| {
        config["problem_type"] = "multi_label_classification".into();
    });
    write(
        &place,
        "many.jsonl",
        &[
            r#"{"text": "red", "label": ["bad", "good"]}"#,
            r#"{"text": "blue", "label": []}"#,
        ],
    );
    let line = "--model texts --data many.jsonl --json";
    let found = report(&place, &format!("predict {line} --out many.out"));
    let evaluated = report(&place, &format!("eval {line}"));
    for measure in ["accuracy", "macro_f1", "micro_f1"] {
        assert_eq!(found[measure], evaluated[measure], "{found}");
    }
    assert_eq!((sum(&found["by_label"]), found.get("confusion")), (2, None));
    edit(&place, "texts/config.json", |config| {
        config["problem_type"] = "single_label_classification".into();
    });
    // A label more is none that is measured.
    write(
        &place,
        "some.jsonl",
        &[
            r#"{"text": "red", "label": "bad"}"#,
            r#"{"text": "blue"}"#,
            r#"{"text": "red blue", "label": null}"#,
        ],
    );
    let found = report(
        &place,
        "predict --model texts --data some.jsonl --out some.out --json",
    );
    assert_eq!((&found["rows"], &found["examples"]), (&json!(3), &json!(1)));
    write(
        &place,
        "other.jsonl",
        &[r#"{"text": "red", "label": "worse"}"#],
    );
    refused(
        &place,
        "predict --model texts --data other.jsonl --out o",
        "worse",
    );
    refused(
        &place,
        "predict --model texts --data good.jsonl --out o --temperature 1",
        "--temperature is for answers",
    );
}

#[test]
fn vectors_are_those_of_their_tokens() {
    let place = models();
    write(
        &place,
        "a.jsonl",
        &[r#"{"text": "red blue red"}"#, r#"{"text": "blue"}"#],
    );
    let vectors = |flags: &str, out: &str| -> Vec<Vec<f64>> {
        report(
            &place,
            &format!("predict --data a.jsonl --json --out {out} {flags}"),
        );
        let lines = lines(&place, out);
        let each = lines
            .iter()
            .map(|line| line["embedding"].as_array().expect("a vector"));
        each.map(|v| v.iter().filter_map(Value::as_f64).collect())
            .collect()
    };
    let near = |a: &[f64], b: &[f64]| {
        assert_eq!(a.len(), b.len());
        a.iter()
            .zip(b)
            .for_each(|(a, b)| assert!((a - b).abs() < 1e-5, "{a} {b}"));
    };
    let mean = vectors("--model bare --embed", "mean.out");
    for (vector, text) in mean.iter().zip(["red blue red", "blue"]) {
        let alone = place.runs(&["generate", "--model", "bare", "--json", "--prompt", text]);
        let alone: Value = serde_json::from_str(&alone).expect("JSON");
        let alone: Vec<f64> = serde_json::from_value(alone["embedding"].clone()).expect("numbers");
        near(vector, &alone);
    }
    near(&mean[0], &vectors("--model bare", "bare.out")[0]);
    let first = vectors("--model bare --embed --pool cls", "first.out");
    let last = vectors("--model bare --embed --pool last", "last.out");
    let apart = |a: &[f64], b: &[f64]| a.iter().zip(b).any(|(a, b)| (a - b).abs() > 1e-3);
    assert!(apart(&first[0], &last[0]) && apart(&first[0], &mean[0]));
    // A decoder's, whose last token has read the others and whose first has not.
    write(
        &place,
        "b.jsonl",
        &[r#"{"text": "a dog"}"#, r#"{"text": "a cat"}"#],
    );
    let decoder = |pool: &str| {
        let line =
            format!("predict --model model --embed --pool {pool} --data b.jsonl --out {pool}.d");
        place.runs(&words(&line));
        lines(&place, &format!("{pool}.d"))
    };
    let (first, last) = (decoder("cls"), decoder("last"));
    assert_eq!(first[0]["embedding"], first[1]["embedding"]);
    assert_ne!(last[0]["embedding"], last[1]["embedding"]);
    refused(
        &place,
        "predict --model model --pool cls --data b.jsonl --out o",
        "--embed",
    );
}

/// Two processes do not write one file.
#[test]
fn one_process_writes_a_file() {
    let place = Place::new();
    place.runs(&words(&format!("{GENERATES} whole.jsonl")));
    let held = fs::File::options()
        .write(true)
        .open(place.path("whole.jsonl"));
    let held = held.expect("a file");
    held.try_lock().expect("it is locked");
    let line = format!("{GENERATES} whole.jsonl");
    let out = command(&words(&line)).current_dir(place.path("")).output();
    let told = String::from_utf8_lossy(&out.expect("it runs").stderr).into_owned();
    assert!(told.contains("another process"), "{told}");
}

/// Rows, prompts, answers and lines: the peak is the same for twice the file, when it is begun,
/// and when it is gone on with.
#[test]
#[cfg(target_os = "linux")]
fn rows_need_not_fit_in_memory() {
    let place = models();
    let long = "red ".repeat(125_000);
    for (model, row) in [
        ("texts", json!({ "text": long, "label": "bad" })),
        ("model", json!({ "prompt": "a dog", "completion": long })),
    ] {
        let row = format!("{row}\n");
        let of = |rows: usize| {
            fs::write(place.path("long.jsonl"), row.repeat(rows)).expect("it is written");
            let line = format!(
                "predict --model {model} --data long.jsonl --out {model}{rows} --batch-size 2 {}",
                if model == "model" {
                    "--max-new-tokens 1"
                } else {
                    ""
                }
            );
            let begun = place.peak_kib(&words(&line));
            begun.max(place.peak_kib(&words(&line)))
        };
        let [once, twice] = [150, 300].map(of);
        println!("{model}: of 75 MB of rows {once} KiB, of 150 MB {twice} KiB");
        assert!(twice < once + (24 << 10), "{twice} KiB after {once} KiB");
    }
}
