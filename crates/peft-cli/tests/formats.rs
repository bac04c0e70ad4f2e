//! The same rows in every format train and evaluate alike, and flags name what files hold.

mod common;

use std::fs;

use common::Place;
use serde_json::{Value, json};

fn rows(place: &Place, name: &str) -> Vec<Value> {
    let text = String::from_utf8(place.read(name)).expect("UTF-8");
    let rows = text.lines().map(serde_json::from_str);
    rows.collect::<Result<_, _>>().expect("JSON")
}

fn csv(rows: &[Value], names: [&str; 2]) -> String {
    let quoted = |value: &Value| {
        let text = value.as_str().expect("a string");
        format!("\"{}\"", text.replace('"', "\"\""))
    };
    let mut text = format!("{},{},id\n", names[0], names[1]);
    for (i, row) in rows.iter().enumerate() {
        let (prompt, completion) = (quoted(&row["prompt"]), quoted(&row["completion"]));
        text += &format!("{prompt},{completion},{i}\n");
    }
    text
}

/// Standard output, and what was said beside it.
fn run(place: &Place, line: &str) -> (String, String) {
    let out = place.run(&line.split(' ').collect::<Vec<_>>());
    let said = String::from_utf8(out.stderr).expect("UTF-8");
    assert!(out.status.success(), "{line}: {said}");
    (String::from_utf8(out.stdout).expect("UTF-8"), said)
}

#[test]
fn every_format_has_the_same_loss() {
    let place = Place::new();
    let all = rows(&place, "valid.jsonl");
    let other: Vec<Value> = all
        .iter()
        .map(|row| json!({ "q": row["prompt"], "a": row["completion"] }))
        .collect();
    fs::create_dir(place.path("parts")).expect("a directory");
    let (one, two) = all.split_at(3);
    for (name, text) in [
        ("list.json", json!(all).to_string()),
        ("rows.csv", csv(&all, ["prompt", "completion"])),
        ("columns.csv", csv(&all, ["q", "a"])),
        ("columns.json", json!(other).to_string()),
        ("parts/1.json", json!(one).to_string()),
        ("parts/2.csv", csv(two, ["prompt", "completion"])),
    ] {
        fs::write(place.path(name), text).expect("it is written");
    }
    let (expected, _) = run(&place, "eval --model model --data valid.jsonl --json");
    for (files, named) in [
        ("list.json", None),
        ("rows.csv", Some("id")),
        ("parts", Some("id")),
        ("parts/1.json parts/2.csv", Some("id")),
        ("columns.csv --columns prompt=q,completion=a", Some("id")),
        ("columns.json --columns completion=a --template {q}", None),
    ] {
        let line = format!("eval --model model --json --data {files}");
        let (found, said) = run(&place, &line);
        assert_eq!(found, expected, "{files}");
        let left = named.map(|column| format!("columns left alone: {column}\n"));
        assert_eq!(
            said.matches("left alone").count(),
            usize::from(left.is_some())
        );
        assert!(said.contains(&left.unwrap_or_default()), "{said}");
    }
}

#[test]
fn a_run_keeps_its_files_and_flags() {
    let place = Place::new();
    let all = rows(&place, "train.jsonl");
    let (one, two) = all.split_at(25);
    for (name, part) in [("1.csv", one), ("2, 3.csv", two)] {
        fs::write(place.path(name), csv(part, ["q", "a"])).expect("it is written");
    }
    let common = "--model model --rank 2 --batch-size 4 --epochs 1 --seed 3";
    run(
        &place,
        &format!("train {common} --train train.jsonl --out plain"),
    );
    let flags = format!(
        "train {common} --out parts --columns prompt=q,completion=a --validation valid.jsonl --max-steps 4 --train 1.csv"
    );
    let mut words: Vec<&str> = flags.split(' ').collect();
    words.push("2, 3.csv");
    // The flags are for all rows, and those of validation have no such columns.
    let refused = place.refuses(&words);
    assert!(refused.contains("has no column `q`"), "{refused}");
    let valid = csv(&rows(&place, "valid.jsonl"), ["q", "a"]);
    fs::write(place.path("valid.csv"), valid).expect("it is written");
    let words: Vec<&str> = words
        .into_iter()
        .map(|word| {
            if word == "valid.jsonl" {
                "valid.csv"
            } else {
                word
            }
        })
        .collect();
    let out = place.run(&words);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{said}");
    assert!(
        said.contains("--data valid.csv --columns prompt=q,completion=a"),
        "{said}"
    );
    run(&place, "train --resume --out parts --max-steps 10");
    let plain = place.read("plain/adapter_model.safetensors");
    assert_eq!(
        plain.len(),
        place.read("parts/adapter_model.safetensors").len()
    );
    let again = place.refuses(&[
        "train",
        "--resume",
        "--out",
        "parts",
        "--max-steps",
        "12",
        "--max-rows",
        "7",
    ]);
    assert!(again.contains("cannot resume"), "{again}");
}

#[test]
fn flags_of_rows_that_cannot_be_are_refused() {
    let place = Place::new();
    for (flags, part) in [
        (
            "--columns promt=a",
            "--columns: `promt` is no key of a row; did you mean `prompt`?",
        ),
        ("--columns prompt", "no pair"),
        (
            "--template {a",
            "--template: the brace at character 1 is not closed",
        ),
        ("--template plain", "names no column"),
        ("--max-rows 0", "--max-rows"),
        ("--system brief", "what the system says takes conversations"),
        ("--train-turns last", "the choice of turns that train takes"),
        ("--template {promt}", "did you mean `prompt`?"),
    ] {
        for verb in [
            "eval --data valid.jsonl",
            "train --train valid.jsonl --out x",
        ] {
            let line = format!("{verb} --model model {flags}");
            let message = place.refuses(&line.split(' ').collect::<Vec<_>>());
            assert!(message.contains(part), "{line}: {message}");
        }
    }
    assert!(!place.path("x").exists());
}
