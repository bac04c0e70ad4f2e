//! Rows whose prompt and completion are lists of messages, in every verb that reads rows.

mod common;

use std::fs;

use common::Place;
use serde_json::{Value, json};

/// Writes what a row brings along, and begins an answer otherwise where it is asked to.
const TEMPLATE: &str = "{% if tools %}<s>tools {{ tools | tojson }}{% endif %}{% for m in messages %}<s>{{ m.role }} {{ m.content }}</s>{% endfor %}\
    {% if add_generation_prompt %}<s>assistant{% if begun %} begun{% endif %}{% endif %}";

fn row(at: usize) -> Value {
    json!({
        "prompt": [{ "role": "user", "content": format!("a dog {at}") }],
        "completion": [{ "role": "assistant", "content": "an animal" }],
    })
}

fn write(place: &Place, name: &str, rows: impl IntoIterator<Item = Value>) {
    let rows: String = rows.into_iter().map(|row| format!("{row}\n")).collect();
    fs::write(place.path(name), rows).expect("it is written");
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

fn run(place: &Place, line: &str) -> (String, String) {
    let out = place.run(&words(line));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(out.status.success(), "{line}: {}", text(&out.stderr));
    (text(&out.stdout), text(&out.stderr))
}

#[test]
fn a_dialogue_is_trained_evaluated_and_answered() {
    let place = Place::new();
    fs::write(place.path("model/chat_template.jinja"), TEMPLATE).expect("it is written");
    write(&place, "rows.jsonl", (0..6).map(row));
    // With a conversation of one answer they are the same: its turn is what follows the prompt.
    let chat = |at| {
        let row = row(at);
        json!({ "messages": [row["prompt"][0], row["completion"][0]] })
    };
    write(&place, "chat.jsonl", (0..6).map(chat));
    let train = "train --model model --max-steps 3 --rank 2 --lr 0.01";
    let (_, said) = run(&place, &format!("{train} --train rows.jsonl --out a"));
    assert!(!said.contains("does not write"), "{said}");
    run(&place, &format!("{train} --train chat.jsonl --out b"));
    let weights = "adapter_model.safetensors";
    assert_eq!(
        place.read(&format!("a/{weights}")),
        place.read(&format!("b/{weights}"))
    );
    let eval = |file: &str| {
        let line = format!("eval --model model --adapter a --json --data {file}");
        serde_json::from_str::<Value>(&run(&place, &line).0).expect("JSON")
    };
    assert_eq!(eval("rows.jsonl"), eval("chat.jsonl"));
    run(
        &place,
        "merge --model model --adapter a --probe rows.jsonl --out merged",
    );

    // The prompt of a row is answered, with what the row brings along.
    let generate = |name: &str, value: &Value| {
        fs::write(place.path(name), value.to_string()).expect("it is written");
        let line = format!("generate --model model --messages {name} --max-new-tokens 8 --json");
        run(&place, &line).0
    };
    let mut dialogue = row(1);
    let plain = generate("row.json", &dialogue);
    assert_eq!(plain, generate("list.json", &dialogue["prompt"]));
    let tools = json!([{ "name": "weather" }]);
    dialogue["tools"] = tools.clone();
    let raw = format!("<s>tools {tools}<s>user a dog 1</s><s>assistant");
    let args = [
        "generate",
        "--model",
        "model",
        "--raw",
        "--max-new-tokens",
        "8",
        "--json",
        "--prompt",
    ];
    let expected = place.runs(&[&args[..], &[raw.replace(':', ": ").as_str()]].concat());
    assert_eq!(generate("tools.json", &dialogue), expected);

    // What the template writes of a prompt alone and not of the whole is warned of.
    let begun = |at| {
        let mut row = row(at);
        row["chat_template_kwargs"] = json!({ "begun": true });
        row
    };
    write(&place, "begun.jsonl", (0..6).map(begun));
    let (_, said) = run(&place, &format!("{train} --train begun.jsonl --out c"));
    assert!(
        said.contains("in 6 rows the chat template does not write"),
        "{said}"
    );
    let begun = |at| {
        let mut row = chat(at);
        row["chat_template_kwargs"] = json!({ "begun": true });
        row
    };
    write(&place, "begun.jsonl", (0..6).map(begun));
    let (_, said) = run(&place, &format!("{train} --train begun.jsonl --out d"));
    assert!(
        said.contains("in 6 rows the chat template does not write"),
        "{said}"
    );
}
