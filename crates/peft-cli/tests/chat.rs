//! `chat`: conversations through a pipe, and texts that are shown as they come.

mod common;

use std::fs;
use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use self::common::models::refused;
use self::common::{Place, command};

const TEMPLATE: &str = "{% for m in messages %}{% if m.role == 'system' and m.content == 'no' %}{{ raise_exception('no system') }}{% endif %}\
    <s>{{ m.role }} {{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}<s>assistant {% endif %}";

fn place() -> Place {
    let place = Place::new();
    fs::write(place.path("model/chat_template.jinja"), TEMPLATE).expect("it is written");
    place.runs(&words(
        "train --model model --train train.jsonl --rank 2 --lr 0.05 --max-steps 6 --out run",
    ));
    place
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// Both outputs of a conversation, and whether it ended well.
fn chat(place: &Place, flags: &str, said: &str) -> (bool, String, String) {
    let line = format!("chat --model model --max-new-tokens 5 {flags}");
    let mut child = command(&words(&line))
        .current_dir(place.path(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command runs");
    let mut input = child.stdin.take().expect("a pipe");
    let _ = input.write_all(said.as_bytes());
    drop(input);
    let out = child.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (out.status.success(), text(&out.stdout), text(&out.stderr))
}

/// What `generate` says to these messages.
fn answer(place: &Place, flags: &str, messages: &Value) -> String {
    fs::write(place.path("messages.json"), messages.to_string()).expect("it is written");
    let line = format!(
        "generate --model model --max-new-tokens 5 --json --messages messages.json {flags}"
    );
    let found: Value = serde_json::from_str(&place.runs(&words(&line))).expect("JSON");
    found["text"].as_str().expect("a text").to_owned()
}

#[test]
fn each_answer_is_that_of_all_that_was_said() {
    let place = place();
    let (ended, out, notes) = chat(
        &place,
        "--system be",
        "a dog\n\n/adapter run\nand a cat?\n/save talk.jsonl\n/adapter none\n/reset\na bird\r\n",
    );
    assert!(ended, "{notes}");
    let saved = String::from_utf8(place.read("talk.jsonl")).expect("UTF-8");
    assert_eq!(saved.matches('\n').count(), 1);
    let saved: Value = serde_json::from_str(&saved).expect("a row");
    let said = saved["messages"].as_array().expect("messages");
    let roles: Vec<&str> = said.iter().filter_map(|m| m["role"].as_str()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "user", "assistant"]);
    let up_to = |n: usize| json!(said[..n]);
    let first = answer(&place, "", &up_to(2));
    let second = answer(&place, "--adapter run", &up_to(4));
    let anew = json!([said[0], { "role": "user", "content": "a bird" }]);
    let third = answer(&place, "", &anew);
    assert_eq!(said[2]["content"], json!(first));
    assert_eq!(said[4]["content"], json!(second));
    assert_ne!(second, answer(&place, "", &up_to(4)), "the adapter acts");
    assert_eq!(out, format!("{first}\n{second}\n{third}\n"));
    // The row trains.
    place.runs(&words(
        "train --model model --train talk.jsonl --rank 2 --max-steps 1 --out again",
    ));
}

#[test]
fn what_cannot_be_is_told() {
    let place = place();
    for (said, why) in [
        ("/rest\n", "did you mean /reset?"),
        ("/adapter\n", "followed by a directory"),
        ("/adapter nowhere\n", "nowhere"),
        ("/save train.jsonl\n", "exists already"),
        ("/system no\n", "no system"),
        ("a\u{0}b\n/quit now\n", "/quit"),
    ] {
        let (ended, _, notes) = chat(&place, "", said);
        assert!(!ended && notes.contains(why), "{said}: {notes}");
    }
    let long = "word ".repeat(80);
    let (_, _, notes) = chat(&place, "", &long);
    assert!(notes.contains("the model takes 64"), "{notes}");
    let (ended, out, _) = chat(&place, "", "/help\n/quit\nnot read\n");
    assert!(
        ended && out.contains("/save") && out.ends_with("where there is none\n"),
        "{out}"
    );
    let (ended, _, notes) = chat(&place, "--system no", "");
    assert!(!ended && notes.contains("no system"), "{notes}");
    fs::remove_file(place.path("model/chat_template.jinja")).expect("it was there");
    refused(&place, "chat --model model", "has no chat template");
}

/// What is shown piece by piece is what all tokens are as a text.
#[test]
fn a_text_is_shown_as_it_is() {
    let place = place();
    for prompt in ["a dog", "été 漢字 🙂", "x"] {
        for seed in ["1", "2", "3"] {
            let args = ["generate", "--model", "model", "--raw", "--prompt", prompt];
            let drawn = ["--temperature", "3", "--top-k", "4000", "--seed", seed];
            let args = [&args[..], &drawn, &["--max-new-tokens", "24"]].concat();
            let shown = place.runs(&args);
            let whole = place.runs(&[&args[..], &["--json"]].concat());
            let whole: Value = serde_json::from_str(&whole).expect("JSON");
            let whole = whole["text"].as_str().expect("a text");
            assert_eq!(shown, format!("{whole}\n"));
        }
    }
}
