//! Conversations as text, against transformers (`tests/goldens/make_chat.py`).

use std::fs;
use std::path::{Path, PathBuf};

use peft_train::{
    Dataset, EncodeOptions, Message, TextTokenizer, TrainError, conversation, encode,
};
use serde_json::{Map, Value, json};

fn goldens() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("goldens/chat")
}

fn expected() -> Value {
    let text = fs::read_to_string(goldens().join("expected.json")).expect("the golden is there");
    serde_json::from_str(&text).expect("JSON")
}

/// A checkpoint's directory with these fields in its `tokenizer_config.json`.
fn checkpoint(fields: &[(&str, Value)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let tokenizer = goldens().join("tokenizer.json");
    fs::copy(tokenizer, dir.path().join("tokenizer.json")).expect("it is copied");
    let config = fs::read_to_string(goldens().join("tokenizer_config.json")).expect("a config");
    let mut config: Value = serde_json::from_str(&config).expect("JSON");
    for (name, value) in fields {
        config[name] = value.clone();
    }
    write(dir.path(), "tokenizer_config.json", &config.to_string());
    dir
}

fn write(dir: &Path, name: &str, text: &str) {
    fs::write(dir.join(name), text).expect("it is written");
}

fn with_template(source: &str) -> TextTokenizer {
    let dir = checkpoint(&[("chat_template", source.into())]);
    TextTokenizer::from_dir(dir.path()).expect("a tokenizer")
}

fn messages(chat: &Value) -> Vec<Message> {
    conversation(chat).expect("turns")
}

fn user(content: &str) -> Vec<Message> {
    messages(&json!([{ "role": "user", "content": content }]))
}

#[test]
fn conversations_are_written_as_transformers_writes_them() {
    let golden = expected();
    let (mut same, mut refused) = (0, 0);
    let mut wrong = Vec::new();
    for (name, entry) in golden["templates"].as_object().expect("templates") {
        let tokenizer = with_template(entry["template"].as_str().expect("a template"));
        for case in entry["cases"].as_array().expect("cases") {
            let chat = case["chat"].as_str().expect("a name");
            let prompt = case["add_generation_prompt"] == true;
            let found = tokenizer.render(&messages(&golden["chats"][chat]), prompt);
            match (found, case["text"].as_str(), case["error"].as_str()) {
                (Ok(found), Some(text), _) if found == text => same += 1,
                (Err(TrainError::ChatTemplate { reason }), _, Some(error))
                    if reason.contains(error) =>
                {
                    refused += 1;
                }
                (found, ..) => wrong.push(format!("{name}, {chat}: {found:?}\n  {case}")),
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert_eq!((same, refused), (160, 22));
}

#[test]
fn the_assistants_tokens_are_those_of_generation_blocks() {
    let golden = expected();
    let mut checked = 0;
    for name in ["generation", "generation, loose"] {
        let entry = &golden["templates"][name];
        let tokenizer = with_template(entry["template"].as_str().expect("a template"));
        assert!(tokenizer.marks_generation(&Map::new()));
        for case in entry["cases"].as_array().expect("cases") {
            let chat = &golden["chats"][case["chat"].as_str().expect("a name")];
            let assistant = chat.as_array().expect("turns").iter();
            if case["ids"].is_null() || !assistant.into_iter().any(|t| t["role"] == "assistant") {
                continue;
            }
            let dir = tempfile::tempdir().expect("a directory");
            write(
                dir.path(),
                "rows.jsonl",
                &json!({ "messages": chat }).to_string(),
            );
            let dataset = Dataset::read(dir.path().join("rows.jsonl")).expect("rows");
            let options = EncodeOptions {
                max_length: 1000,
                append_eos: true,
                vocab_size: 1000,
            };
            let numbers = |key: &str| -> Vec<u64> {
                let list = case[key].as_array().expect("a list").iter();
                list.map(|n| n.as_u64().expect("a number")).collect()
            };
            let targets: Vec<bool> = numbers("assistant").iter().map(|on| *on == 1).collect();
            match encode(&dataset, &tokenizer, &options) {
                Ok(found) => {
                    let found = &found.examples.to_vec().expect("they are read")[0];
                    let ids: Vec<u64> = found.ids.iter().map(|id| u64::from(*id)).collect();
                    assert_eq!(ids, numbers("ids"), "{name}");
                    assert_eq!(found.targets, targets, "{name}");
                    checked += 1;
                }
                // An assistant that says nothing has nothing to learn.
                Err(_) => assert!(targets.iter().all(|target| !target)),
            }
        }
    }
    assert!(checked >= 4, "{checked}");
    assert!(!with_template("{{ 'generation' }}").marks_generation(&Map::new()));
}

#[test]
fn templates_come_from_the_config_or_from_files() {
    let text = |tokenizer: &TextTokenizer| tokenizer.render(&user("x"), false);
    let named = |name: &str, source: &str| json!({ "name": name, "template": source });
    let list = json!([
        named("default", "D {{ messages[0].content }}"),
        named("rag", "R")
    ]);
    let dir = checkpoint(&[("chat_template", list)]);
    let tokenizer = TextTokenizer::from_dir(dir.path()).expect("a tokenizer");
    assert_eq!(text(&tokenizer).expect("text"), "D x");
    let rag = tokenizer
        .clone()
        .with_chat_template("rag")
        .expect("it is there");
    assert_eq!(text(&rag).expect("text"), "R");
    let missing = tokenizer
        .with_chat_template("other")
        .expect_err("it is not there");
    assert!(missing.to_string().contains("default, rag"), "{missing}");

    // Files go before the config.
    write(dir.path(), "chat_template.jinja", "F {{ eos_token }}\n");
    fs::create_dir(dir.path().join("additional_chat_templates")).expect("a directory");
    write(dir.path(), "additional_chat_templates/tool_use.jinja", "T");
    let tokenizer = TextTokenizer::from_dir(dir.path()).expect("a tokenizer");
    assert_eq!(text(&tokenizer).expect("text"), "F </s>");
    // As transformers chooses: any list of tools asks for it.
    let with = |tokenizer: &TextTokenizer, tools: Value| {
        let variables = Map::from_iter([("tools".to_owned(), tools)]);
        let rendered = tokenizer.render_marked(&user("x"), &variables, false);
        rendered.expect("text").text
    };
    assert_eq!(with(&tokenizer, json!([{ "name": "f" }])), "T");
    assert_eq!(with(&tokenizer, json!([])), "T");
    assert_eq!(with(&tokenizer, Value::Null), "F </s>");
    assert_eq!(with(&rag, json!([{ "name": "f" }])), "R");
    let tools = tokenizer
        .with_chat_template("tool_use")
        .expect("it is there");
    assert_eq!(text(&tools).expect("text"), "T");

    let dir = checkpoint(&[("chat_template", json!([named("a", "A"), named("b", "B")]))]);
    let tokenizer = TextTokenizer::from_dir(dir.path()).expect("a tokenizer");
    assert!(matches!(
        text(&tokenizer),
        Err(TrainError::UnknownTemplate { .. })
    ));
    assert_eq!(
        text(&tokenizer.with_chat_template("b").expect("it is there")).expect("text"),
        "B"
    );
    let dir = checkpoint(&[]);
    let tokenizer = TextTokenizer::from_dir(dir.path()).expect("a tokenizer");
    assert!(!tokenizer.has_chat_template());
    assert!(matches!(text(&tokenizer), Err(TrainError::NoChatTemplate)));
}

#[test]
fn special_tokens_come_from_either_file() {
    let source = "{{ bos_token }} {{ eos_token }} {{ unk_token }} {{ pad_token }} {{ mask_token }}";
    let fields = [("chat_template", source.into()), ("bos_token", Value::Null)];
    let dir = checkpoint(&fields);
    let older =
        json!({ "bos_token": { "content": "<b>" }, "mask_token": "<m>", "eos_token": "<old>" });
    write(dir.path(), "special_tokens_map.json", &older.to_string());
    let tokenizer = TextTokenizer::from_dir(dir.path()).expect("a tokenizer");
    let text = tokenizer.render(&user("x"), false).expect("text");
    assert_eq!(text, "<b> <old> <unk> <pad> <m>");
}

#[test]
fn dates_are_todays_and_mistakes_are_named() {
    let render = |source: &str| with_template(source).render(&user("x"), false);
    let seconds = render("{{ strftime_now('%s') }}").expect("text");
    let seconds: u64 = seconds.parse().expect("seconds");
    let now = std::time::UNIX_EPOCH.elapsed().expect("a time").as_secs();
    assert!(now.abs_diff(seconds) < 60, "{seconds} at {now}");
    for (source, part) in [
        ("{{ strftime_now('%!') }}", "%!"),
        (
            "{{ raise_exception('no such ' ~ 'thing') }}",
            "no such thing",
        ),
        ("\n{% if %}", "line 2: expected an expression"),
        ("{{ messages[0].a.b }}", "has no attribute 'a'"),
        ("{{ messages | tojson(wrong=1) }}", "wrong"),
    ] {
        let error = render(source).expect_err("it fails").to_string();
        assert!(error.contains(part), "{part} is not in {error}");
    }
}

#[test]
fn a_hostile_template_ends_soon_with_an_error_that_names_it() {
    let loops = "{% for i in range(99999) %}".repeat(3) + &"{% endfor %}".repeat(3);
    for source in [
        loops.as_str(),
        "{{ [1] * 10000000000 }}",
        "{{ messages | tojson(indent=10000000000) }}",
        "{{ 'a'.center(10000000000) }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        &"{% if 1 %}".repeat(100_000),
    ] {
        let started = std::time::Instant::now();
        let error = with_template(source).render(&user("x"), false);
        let error = error.expect_err("it takes too much").to_string();
        assert!(
            error.contains("the chat template failed: line 1: "),
            "{error}"
        );
        assert!(error.len() < 200, "{error}");
        let took = started.elapsed();
        assert!(took.as_secs() < 30, "{error} after {took:?}");
    }
}
