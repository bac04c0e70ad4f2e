//! `generate`: prompts by a chat template and without one, what the model's files say, and what is
//! said where there is no text.

mod common;

use std::fs;

use serde_json::{Value, json};

use self::common::{Place, command};

const TEMPLATE: &str = "{% for m in messages %}<s>{{ m.role }} {{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}<s>assistant{% endif %}";

/// A model with a chat template.
fn chat() -> Place {
    let place = Place::new();
    fs::write(place.path("model/chat_template.jinja"), TEMPLATE).expect("it is written");
    place
}

/// What it says on both outputs, which is to end well or not.
fn said(place: &Place, args: &[&str]) -> (bool, String, String) {
    let all = [&["generate", "--model", "model"], args].concat();
    let out = command(&all)
        .current_dir(place.path(""))
        .output()
        .expect("the command runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (out.status.success(), text(&out.stdout), text(&out.stderr))
}

fn generation(place: &Place, fields: &Value) {
    fs::write(
        place.path("model/generation_config.json"),
        fields.to_string(),
    )
    .expect("it is written");
}

#[test]
fn a_prompt_is_a_users_turn_where_there_is_a_template() {
    let place = chat();
    let answer = |args: &[&str]| {
        let (ended, text, notes) = said(&place, &[args, &["--max-new-tokens", "6"]].concat());
        assert!(ended, "{notes}");
        (text, notes)
    };
    let (turn, notes) = answer(&["--prompt", "a dog"]);
    assert!(notes.contains("--raw"), "{notes}");
    let rendered = "<s>user a dog</s><s>assistant";
    let (raw, notes) = answer(&["--raw", "--prompt", rendered]);
    assert_eq!(raw, turn);
    assert!(!notes.contains("turn"), "{notes}");
    // A rendering that is given as a turn is asked about.
    let (_, notes) = answer(&["--prompt", rendered]);
    assert!(
        notes.contains("`<s>`") && notes.contains("--raw"),
        "{notes}"
    );
    let (_, notes) = answer(&["--prompt", "a dog", "--raw"]);
    assert!(notes.is_empty(), "{notes}");
    // A text that begins as a flag does is a text.
    let (item, _) = answer(&["--prompt", "- a dog", "--system", "-5 is cold"]);
    let (same, _) = answer(&["--prompt=- a dog", "--system=-5 is cold"]);
    assert_eq!(item, same);
    let with_system = "<s>system be brief</s><s>user a dog</s><s>assistant";
    let (expected, _) = answer(&["--raw", "--prompt", with_system]);
    let (found, _) = answer(&["--system", "be brief", "--prompt", "a dog"]);
    assert_eq!(found, expected);
    let turns = json!([{ "role": "user", "content": "a dog" }]);
    for file in [turns.clone(), json!({ "messages": turns })] {
        fs::write(place.path("chat.json"), file.to_string()).expect("it is written");
        assert_eq!(answer(&["--messages", "chat.json"]).0, turn);
        let both = ["--messages", "chat.json", "--system", "be brief"];
        assert_eq!(answer(&both).0, expected);
    }
}

#[test]
fn conversations_that_cannot_be_answered_are_refused() {
    let place = chat();
    for (file, part) in [
        ("[", "chat.json"),
        ("3", "expected a list of messages"),
        ("[]", "expected a list of messages"),
        (r#"[{"role": "user"}]"#, "chat.json"),
        (
            r#"[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]"#,
            "nothing to answer",
        ),
    ] {
        fs::write(place.path("chat.json"), file).expect("it is written");
        let (ended, _, message) = said(&place, &["--messages", "chat.json"]);
        assert!(!ended && message.contains(part), "{message}");
    }
    let (ended, _, message) = said(&place, &["--messages", "nowhere.json"]);
    assert!(!ended && message.contains("nowhere.json"), "{message}");
    let (ended, _, message) = said(&place, &[]);
    assert!(!ended && message.contains("--prompt"), "{message}");
    fs::remove_file(place.path("model/chat_template.jinja")).expect("it is removed");
    let (ended, _, message) = said(&place, &["--prompt", "a", "--system", "b"]);
    assert!(!ended && message.contains("chat template"), "{message}");
}

/// `<s>` before every text, as Llama's tokenizer has it, and once only.
#[test]
fn a_begin_token_is_not_put_before_one() {
    let place = Place::new();
    let path = place.path("model/tokenizer.json");
    let mut tokenizer: Value =
        serde_json::from_str(&fs::read_to_string(&path).expect("a tokenizer")).expect("JSON");
    let special = json!({ "SpecialToken": { "id": "<s>", "type_id": 0 } });
    let text = json!({ "Sequence": { "id": "A", "type_id": 0 } });
    tokenizer["post_processor"] = json!({
        "type": "TemplateProcessing", "single": [special, text], "pair": [],
        "special_tokens": { "<s>": { "id": "<s>", "ids": [0], "tokens": ["<s>"] } },
    });
    fs::write(&path, tokenizer.to_string()).expect("it is written");
    let answer = |prompt: &str| said(&place, &["--prompt", prompt, "--max-new-tokens", "6"]);
    assert_eq!(answer("a dog"), answer("<s>a dog"));
    assert_ne!(answer("a dog").1, answer("<s><s>a dog").1);
}

#[test]
fn fields_of_the_model_do_not_block() {
    let place = Place::new();
    let fields = json!({
        "do_sample": true, "temperature": 0.0, "min_p": 0.1, "num_beams": 3, "typical_p": 0.4,
    });
    generation(&place, &fields);
    let prompt = ["--prompt", "a dog", "--max-new-tokens", "4"];
    let (ended, greedy, notes) = said(&place, &prompt);
    assert!(
        ended && notes.contains("temperature 0") && notes.contains("`num_beams` to 3"),
        "{notes}"
    );
    assert!(!notes.contains("typical_p"), "{notes}");
    let drawn = [&prompt[..], &["--temperature", "1.5"]].concat();
    let (ended, _, notes) = said(&place, &drawn);
    assert!(ended && notes.contains("typical_p"), "{notes}");
    generation(
        &place,
        &json!({ "do_sample": "x", "temperature": -1, "min_p": [] }),
    );
    let flags = [&prompt[..], &["--temperature", "0"]].concat();
    let (ended, found, notes) = said(&place, &flags);
    assert!(ended && found == greedy, "{notes}");
    assert!(!said(&place, &prompt).0);
    generation(&place, &json!({ "min_p": 9 }));
    let flags = [&prompt[..], &["--temperature", "1", "--min-p", "1"]].concat();
    assert_eq!(said(&place, &flags).1, greedy);
    let (ended, _, message) = said(
        &place,
        &[&prompt[..], &["--temperature", "1", "--min-p", "2"]].concat(),
    );
    assert!(!ended && message.contains("min-p is 2"), "{message}");
}

/// What is out of its range is said first, where it would be of no effect too, by every verb that
/// takes it; all of it together.
#[test]
fn ranges_of_sampling_come_first() {
    let place = chat();
    let verbs = [
        "generate --model model --prompt a",
        "generate --model nowhere --prompt a",
        "chat --model model",
        "predict --model model --data valid.jsonl --out out.jsonl",
        "predict --model model --data nowhere.jsonl --embed --out out.jsonl",
    ];
    for verb in verbs {
        for (flags, said) in [
            (
                "--max-new-tokens 0",
                "max-new-tokens is 0, but must be at least 1",
            ),
            ("--top-p 2", "top-p is 2, but must be above 0 and at most 1"),
            (
                "--temperature 0 --top-p 0",
                "top-p is 0, but must be above 0",
            ),
            ("--min-p 1.5", "min-p is 1.5, but must be from 0 to 1"),
            ("--top-k 0", "top-k is 0, but must be at least 1"),
            ("--temperature nan", "temperature is NaN"),
            ("--top-k 0 --min-p 2", "at least 1; min-p is 2"),
        ] {
            let line = format!("{verb} {flags}");
            let message = place.refuses(&line.split(' ').collect::<Vec<_>>());
            assert!(message.contains(said), "{line}: {message}");
        }
    }
    assert!(!place.path("out.jsonl").exists());
}

#[test]
fn an_answer_of_nothing_says_why() {
    let place = Place::new();
    let run = |args: &[&str]| {
        let (ended, text, notes) = said(&place, &[&["--prompt", "a dog"], args].concat());
        assert!(ended, "{notes}");
        (text, notes)
    };
    let (_, notes) = run(&["--max-new-tokens", "100"]);
    assert!(
        notes.contains("the 64 tokens that the model takes"),
        "{notes}"
    );
    let config = fs::read_to_string(place.path("model/config.json")).expect("a config");
    let mut config: Value = serde_json::from_str(&config).expect("JSON");
    config["max_position_embeddings"] = json!(100);
    fs::write(place.path("model/config.json"), config.to_string()).expect("it is written");
    // The limit where nothing says one is said where it cuts.
    let (_, notes) = run(&[]);
    assert!(notes.contains("64 new tokens"), "{notes}");
    assert!(run(&["--max-new-tokens", "3"]).1.is_empty());
    generation(&place, &json!({ "max_length": 1 }));
    let notes = run(&[]).1;
    assert!(notes.contains("64 new tokens"), "{notes}");
    // All tokens end the text.
    let all: Vec<u32> = (0..4096).collect();
    generation(&place, &json!({ "eos_token_id": all }));
    let (text, notes) = run(&[]);
    assert!(
        text.trim().is_empty() && notes.contains("ended at once"),
        "{notes}"
    );
    fs::write(place.path("model/chat_template.jinja"), TEMPLATE).expect("it is written");
    assert!(run(&["--raw"]).1.contains("instruct model"));
}

#[test]
fn rows_and_generation_say_where_there_is_no_end() {
    let place = Place::new();
    let config = json!({ "tokenizer_class": "PreTrainedTokenizerFast" });
    fs::write(
        place.path("model/tokenizer_config.json"),
        config.to_string(),
    )
    .expect("it is written");
    let path = place.path("model/config.json");
    let text = fs::read_to_string(&path).expect("a config");
    let mut config: Value = serde_json::from_str(&text).expect("JSON");
    let eval = |extra: &[&str]| {
        let args = ["eval", "--model", "model", "--data", "valid.jsonl"];
        let out = command(&[&args, extra].concat())
            .current_dir(place.path(""))
            .output()
            .expect("the command runs");
        assert!(out.status.success());
        String::from_utf8_lossy(&out.stderr).into_owned()
    };
    // The model's config names it, for all verbs.
    assert!(!eval(&[]).contains("end-of-sequence"));
    config
        .as_object_mut()
        .expect("fields")
        .remove("eos_token_id");
    fs::write(&path, config.to_string()).expect("it is written");
    let _ = fs::remove_file(place.path("model/generation_config.json"));
    assert!(eval(&[]).contains("generation_config.json and config.json"));
    assert!(!eval(&["--no-eos"]).contains("end-of-sequence"));
    let (_, _, notes) = said(&place, &["--prompt", "a", "--max-new-tokens", "1"]);
    assert!(notes.contains("special_tokens_map.json"), "{notes}");
}
