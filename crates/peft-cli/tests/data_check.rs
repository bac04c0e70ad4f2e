//! `data check`: what it shows is what trains, and what it finds wrong is wrong.

mod common;

use std::fs;

use common::Place;
use common::models::{edit, place, write};
use serde_json::{Value, json};

/// The report, and the exit status.
fn checked(place: &Place, line: &str) -> (Value, Option<i32>) {
    let words = format!("data check {line} --json");
    let out = place.run(&words.split(' ').collect::<Vec<_>>());
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    let report = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{line}: {text} {said}"));
    (report, out.status.code())
}

fn finding<'a>(report: &'a Value, name: &str) -> Option<&'a Value> {
    let all = report["findings"].as_array().expect("findings");
    all.iter().find(|finding| finding["name"] == name)
}

#[test]
fn rows_are_shown_as_they_train() {
    let place = Place::new();
    let (report, status) = checked(&place, "train.jsonl --model model --validation valid.jsonl");
    assert_eq!(status, Some(0), "{report}");
    assert_eq!(
        (&report["rows"], &report["validation"]["rows"]),
        (&json!(40), &json!(8))
    );
    assert_eq!(report["wrong"], json!(false));
    // As many targets as the run says that it trains on.
    let run = "train --model model --train train.jsonl --rank 1 --max-steps 1 --out run";
    let out = place.run(&run.split(' ').collect::<Vec<_>>());
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    let trained = format!(
        "40 training rows, {} target tokens",
        report["target tokens"]
    );
    assert!(said.contains(&trained), "{trained}: {said}");
    assert!(
        said.contains("0 of 40 training rows are repeated\n"),
        "{said}"
    );
    // The text of the tokens is the row's, and that of the targets its completion.
    let rows = String::from_utf8(place.read("train.jsonl")).expect("UTF-8");
    for (row, shown) in rows.lines().zip(report["first"].as_array().expect("rows")) {
        let row: Value = serde_json::from_str(row).expect("JSON");
        let tokens = shown["tokens"].as_array().expect("tokens");
        let text = |target: bool| -> String {
            let of = tokens.iter().filter(|token| token[2] == target);
            of.filter_map(|token| token[1].as_str()).collect()
        };
        let completion = row["completion"].as_str().expect("a string");
        assert!(text(true).starts_with(completion), "{shown}");
        assert!(
            text(false).ends_with(row["prompt"].as_str().expect("a string")),
            "{shown}"
        );
    }
    let plain = place.runs(&[
        "data",
        "check",
        "train.jsonl",
        "--model",
        "model",
        "--show",
        "1",
    ]);
    assert!(
        plain.starts_with("line 1: ") && plain.contains("|["),
        "{plain}"
    );
    assert!(
        plain.contains("tokens a row: min ") && plain.contains("nothing is wrong"),
        "{plain}"
    );
}

#[test]
fn what_is_wrong_is_named() {
    let place = Place::new();
    let text = String::from_utf8(place.read("valid.jsonl")).expect("UTF-8");
    let rows: Vec<&str> = text.lines().collect();
    let long = json!({ "prompt": "the animal ".repeat(200), "completion": " plant" }).to_string();
    let broken = json!({ "prompt": "a \u{fffd} b", "completion": " plant" }).to_string();
    let joined = json!({ "prompt": "the animal", "completion": "plant" }).to_string();
    let spaced = json!({ "prompt": "the animal ", "completion": "plant" }).to_string();
    let mut all = rows.clone();
    all.extend([rows[0], &long, &broken, &spaced, &joined]);
    write(&place, "rows.jsonl", &all);
    let (report, status) = checked(&place, "rows.jsonl --model model --valid valid.jsonl");
    assert_eq!(status, Some(2), "{report}");
    for (name, rows, wrong) in [
        ("repeated", 1, false),
        ("cut", 1, false),
        ("without target", 1, false),
        ("not utf-8", 1, false),
        ("asked otherwise", 1, false),
        ("joined", 1, false),
        ("leaked", 8, true),
    ] {
        let found = finding(&report, name).unwrap_or_else(|| panic!("{name}: {report}"));
        assert_eq!(
            (&found["rows"], &found["wrong"]),
            (&json!(rows), &json!(wrong)),
            "{found}"
        );
    }
    let named = &finding(&report, "repeated").expect("it is found")["first"][0];
    assert_eq!(named, &json!("line 9 is line 1"));
    let run = "train --model model --train rows.jsonl --valid valid.jsonl --rank 1 --max-steps 1 --out run";
    let out = place.run(&run.split(' ').collect::<Vec<_>>());
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    let line = "1 of 13 training rows are repeated, and 8 of 8 validation rows are training rows too (`peft data check` names them)";
    assert!(said.contains(line), "{said}");
    fs::create_dir(place.path("empty")).expect("a directory");
    // All rows without a target.
    write(&place, "long.jsonl", &[&long]);
    let (report, status) = checked(&place, "long.jsonl --model model");
    assert_eq!(status, Some(2));
    assert_eq!(
        finding(&report, "without target").expect("it is found")["wrong"],
        true
    );
    for (file, part) in [
        ("absent.jsonl", "absent.jsonl"),
        ("empty", "has no file of rows"),
    ] {
        let message = place.refuses(&["data", "check", file, "--model", "model"]);
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn conversations_are_asked_as_they_were_trained() {
    let place = place();
    let row = json!({ "conversations": [
        { "from": "human", "value": "the" },
        { "from": "gpt", "value": "animal" },
    ] });
    write(&place, "chat.jsonl", &[&row.to_string()]);
    let sound = "{% for m in messages %}{{ m.role + '\n' + m.content + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant\n' }}{% endif %}";
    // It begins an answer that is asked for with what no answer of the rows has.
    let thinking = sound.replace("'assistant\n'", "'assistant\nthink\n'");
    for (template, wrong) in [(sound.to_owned(), false), (thinking, true)] {
        edit(&place, "model/tokenizer_config.json", |config| {
            config["chat_template"] = template.into();
        });
        let (report, status) = checked(&place, "chat.jsonl --model model");
        assert_eq!(status, Some(if wrong { 2 } else { 0 }), "{report}");
        assert_eq!(
            finding(&report, "asked otherwise").is_some(),
            wrong,
            "{report}"
        );
    }
}

#[test]
fn roles_that_are_misspelt_are_told() {
    let place = Place::new();
    let template = "{% for m in messages %}{{ m.role }} {{ m.content }} {% endfor %}";
    fs::write(place.path("model/chat_template.jinja"), template).expect("it is written");
    let turns = |role: &str| {
        let user = json!({ "role": role, "content": "a dog" });
        let assistant = json!({ "role": "assistant", "content": "a cat" });
        json!({ "messages": [user, assistant] }).to_string()
    };
    let rows = ["user", "usr", "tool", "martian"].map(turns);
    write(&place, "chat.jsonl", &rows.each_ref().map(String::as_str));
    let (report, _) = checked(&place, "chat.jsonl --model model");
    let found = finding(&report, "roles").unwrap_or_else(|| panic!("{report}"));
    let first = json!(["line 2: `usr`, did you mean `user`?", "line 4: `martian`"]);
    assert_eq!((&found["wrong"], &found["first"]), (&json!(false), &first));
}

#[test]
fn labels_are_counted() {
    let place = place();
    let (report, status) = checked(&place, "good.jsonl --model texts");
    assert_eq!(
        (status, &report["labels"]),
        (Some(0), &json!({ "bad": 1, "good": 1 }))
    );
    fs::write(
        place.path("rows.csv"),
        "text,label\nred,bad\nblue,bad\ngreen,best\n",
    )
    .expect("it is written");
    let refused = place.refuses(&["data", "check", "rows.csv", "--model", "texts"]);
    assert!(refused.contains("line 4: unknown label"), "{refused}");
    let plain = place.runs(&["data", "check", "good.jsonl", "--model", "texts"]);
    assert!(
        plain.contains("line 1: 3 tokens, labelled bad\n"),
        "{plain}"
    );
    let (report, _) = checked(&place, "rows.csv --model texts --new-head");
    assert_eq!(report["labels"], json!({ "bad": 2, "best": 1 }));
}

#[test]
fn some_rows_are_split_off() {
    let place = Place::new();
    let run =
        "train --model model --train train.jsonl --split 0.2 --rank 1 --max-steps 1 --out run";
    let out = place.run(&run.split(' ').collect::<Vec<_>>());
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{said}");
    assert!(
        said.contains("of 40 rows are taken for validation"),
        "{said}"
    );
    assert!(said.contains("validation loss"), "{said}");
    let settings = String::from_utf8(place.read("run/train.toml")).expect("UTF-8");
    assert!(settings.contains("split = 0.2"), "{settings}");
    for (flags, part) in [
        ("--split 0.2 --valid valid.jsonl", "leave one out"),
        ("--split 1.5", "--split is 1.5"),
    ] {
        let line = format!("train --model model --train train.jsonl {flags} --out x");
        let refused = place.refuses(&line.split(' ').collect::<Vec<_>>());
        assert!(refused.contains(part), "{refused}");
    }
}
