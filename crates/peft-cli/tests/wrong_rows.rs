//! Rows, labels, texts and templates that make no sense are refused by a message, and nothing
//! panics on them.

mod common;

use std::fs::OpenOptions;
use std::time::{Duration, Instant};

use common::models::{edit, place, refused, write};
use serde_json::json;

#[test]
fn labels_that_a_head_cannot_tell() {
    let place = place();
    let cases: [(&str, &str, &str); 11] = [
        ("texts", r#"{"text": "red", "label": 1.5}"#, "no class"),
        (
            "texts",
            r#"{"text": "red", "label": 3}"#,
            "no label has the id 3",
        ),
        (
            "texts",
            r#"{"text": "red", "label": -1}"#,
            "no label has the id -1",
        ),
        ("texts", r#"{"text": "red", "label": -100}"#, "-100"),
        ("texts", r#"{"text": "red", "label": 1e300}"#, "no class"),
        (
            "texts",
            r#"{"text": "red", "label": 18446744073709551615}"#,
            "label",
        ),
        ("texts", r#"{"text": "red", "label": ["bad"]}"#, "list"),
        (
            "texts",
            r#"{"text": "red", "label": "beautiful"}"#,
            "unknown label",
        ),
        ("values", r#"{"text": "red", "label": "high"}"#, "no number"),
        (
            "values",
            r#"{"text": "red", "label": 1e300}"#,
            "no number that f32 holds",
        ),
        (
            "words",
            r#"{"tokens": ["red"], "tags": [77]}"#,
            "no label has the id 77",
        ),
    ];
    for (model, row, part) in cases {
        write(&place, "rows.jsonl", &[row]);
        refused(
            &place,
            &format!("eval --model {model} --data rows.jsonl"),
            part,
        );
        refused(
            &place,
            &format!("train --model {model} --train rows.jsonl --out out"),
            part,
        );
    }
    assert!(!place.path("out").exists());
}

#[test]
fn problem_types_that_a_head_cannot_have() {
    let place = place();
    for (model, problem, part) in [
        (
            "texts",
            json!("regression"),
            "takes one output, but there are 3",
        ),
        ("texts", json!("regresion"), "did you mean regression"),
        ("texts", json!(3), "`problem_type` is 3"),
        (
            "values",
            json!("single_label_classification"),
            "takes two outputs or more",
        ),
    ] {
        edit(&place, &format!("{model}/config.json"), |config| {
            config["problem_type"] = problem
        });
        refused(
            &place,
            &format!("eval --model {model} --data good.jsonl"),
            part,
        );
        refused(
            &place,
            &format!("train --model {model} --train good.jsonl --out out"),
            part,
        );
        refused(
            &place,
            &format!("generate --model {model} --prompt red"),
            part,
        );
    }
}

#[test]
fn what_an_encoder_cannot_read() {
    let place = place();
    for model in ["texts", "words", "values", "bare"] {
        refused(
            &place,
            &format!("generate --model {model} --prompt beyond"),
            "9000",
        );
        // A text of special tokens alone has a label and an embedding, and no words.
        let ended = place.run(&["generate", "--model", model, "--prompt", "  "]);
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.success(), "{model}: {said}");
    }
    write(
        &place,
        "beyond.jsonl",
        &[r#"{"text": "red beyond", "label": 0}"#],
    );
    refused(&place, "eval --model texts --data beyond.jsonl", "9000");
    write(
        &place,
        "beyond.jsonl",
        &[r#"{"tokens": ["red", "beyond"], "tags": [0, 0]}"#],
    );
    refused(&place, "eval --model words --data beyond.jsonl", "9000");
    for length in [0, 1, 2] {
        let part = match length {
            0 => "--max-length is 0",
            _ => "maximal length",
        };
        refused(
            &place,
            &format!("eval --model texts --data good.jsonl --max-length {length}"),
            part,
        );
        refused(
            &place,
            &format!("train --model texts --train good.jsonl --max-length {length} --out out"),
            part,
        );
        refused(
            &place,
            &format!("eval --model words --data tags.jsonl --max-length {length}"),
            part,
        );
    }
    // One token of a text is enough.
    place.runs(&[
        "eval",
        "--model",
        "texts",
        "--data",
        "good.jsonl",
        "--max-length",
        "3",
    ]);
    place.runs(&[
        "eval",
        "--model",
        "words",
        "--data",
        "tags.jsonl",
        "--max-length",
        "3",
    ]);
}

#[test]
fn choices_beyond_the_models_positions() {
    let place = place();
    let long = "the animal ".repeat(80);
    write(
        &place,
        "long.jsonl",
        &[
            &json!({"prompt": "the", "completion": " animal"}).to_string(),
            &json!({"prompt": "the", "completion": long}).to_string(),
        ],
    );
    refused(
        &place,
        "eval --model model --data long.jsonl --choices",
        "tokens",
    );
    write(
        &place,
        "long.jsonl",
        &[
            &json!({"prompt": long, "completion": " animal"}).to_string(),
            &json!({"prompt": "the", "completion": " plant"}).to_string(),
        ],
    );
    refused(
        &place,
        "eval --model model --data long.jsonl --choices --max-length 64",
        "tokens",
    );
    write(
        &place,
        "empty.jsonl",
        &[r#"{"prompt": "the", "completion": ""}"#],
    );
    refused(
        &place,
        "eval --model model --data empty.jsonl --choices --no-eos",
        "empty.jsonl",
    );
    refused(
        &place,
        "eval --model model --data valid.jsonl --choices --adapter none",
        "none",
    );
    write(&place, "text.jsonl", &[r#"{"text": "the animal"}"#]);
    refused(
        &place,
        "eval --model model --data text.jsonl --choices",
        "--choices takes",
    );
    // A soft prompt takes positions of the model's.
    place.runs(&"train --model model --train train.jsonl --method prompt-tuning --virtual-tokens 50 --max-steps 1 --out soft".split(' ').collect::<Vec<_>>());
    let longer = "the animal ".repeat(20);
    write(
        &place,
        "longer.jsonl",
        &[
            &json!({"prompt": longer, "completion": " animal"}).to_string(),
            &json!({"prompt": "the", "completion": " plant"}).to_string(),
        ],
    );
    place.runs(
        &"eval --model model --data longer.jsonl --choices"
            .split(' ')
            .collect::<Vec<_>>(),
    );
    refused(
        &place,
        "eval --model model --data longer.jsonl --choices --adapter soft",
        "tokens",
    );
}

#[test]
fn templates_that_render_nothing() {
    let place = place();
    write(
        &place,
        "chat.jsonl",
        &[
            r#"{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "the animal"}]}"#,
        ],
    );
    for template in [
        "",
        "{# nothing #}",
        "{% if false %}{{ messages }}{% endif %}",
    ] {
        edit(&place, "model/tokenizer_config.json", |config| {
            config["chat_template"] = template.into()
        });
        refused(&place, "generate --model model --prompt hi", "template");
        refused(&place, "eval --model model --data chat.jsonl", "template");
        refused(
            &place,
            "train --model model --train chat.jsonl --out out",
            "template",
        );
    }
    refused(&place, "generate --model model --raw --prompt=", "prompt");
}

#[test]
fn rows_without_a_target_say_what_they_lack() {
    let place = place();
    edit(&place, "model/tokenizer_config.json", |config| {
        config["chat_template"] =
            "{% for m in messages %}{{ m.role + ' ' + m.content }}{% endfor %}".into();
    });
    let unweighted = json!({"messages": [
        {"role": "user", "content": "the"},
        {"role": "assistant", "content": "animal", "weight": 0},
    ]});
    for (model, row, part) in [
        ("model", json!({"text": "the"}), "a second one"),
        ("model", unweighted, "`weight` 0"),
        (
            "words",
            json!({"tokens": ["red"], "tags": [-100]}),
            "every tag is -100",
        ),
    ] {
        write(&place, "rows.jsonl", &[&row.to_string()]);
        let eval = format!("eval --model {model} --data rows.jsonl");
        refused(&place, &eval, part);
        let train = format!("train --model {model} --train rows.jsonl --no-eos --out out");
        refused(&place, &train, part);
    }
}

/// A line of gigabytes is told by its number, and not held; what a message repeats of a row is cut.
#[test]
fn a_line_has_a_longest_length() {
    let place = place();
    for (model, row) in [
        ("model", r#"{"text": "red"}"#),
        ("texts", r#"{"text": "red", "label": "bad"}"#),
    ] {
        write(&place, "rows.jsonl", &[row, ""]);
        let file = OpenOptions::new()
            .append(true)
            .open(place.path("rows.jsonl"));
        // Nothing is on disk but the first line.
        file.and_then(|file| file.set_len(8 << 30))
            .expect("it grows");
        for verb in [
            "eval --data rows.jsonl",
            "train --train rows.jsonl --out out",
        ] {
            let started = Instant::now();
            refused(
                &place,
                &format!("{verb} --model {model}"),
                "line 2: is longer than 64 MiB",
            );
            assert!(started.elapsed() < Duration::from_secs(20));
        }
    }
    let long = "x".repeat(100_000);
    let rows = [
        json!({ "text": "red", "label": { long.clone(): 1 } }),
        json!({ long: 1 }),
    ];
    for row in rows {
        write(&place, "rows.jsonl", &[&row.to_string()]);
        let message = place.refuses(&["eval", "--model", "texts", "--data", "rows.jsonl"]);
        assert!(message.len() < 2000, "{}", message.len());
    }
}
