//! JSON as Python writes it: numbers that are not finite, halves of surrogate pairs.

mod common;

use std::fs;

use common::Place;

#[test]
fn what_nothing_reads_may_be_pythons_own_and_what_is_read_is_named() {
    let place = Place::new();
    let eval = "eval --model model --data valid.jsonl --json";
    let eval: Vec<&str> = eval.split(' ').collect();
    let expected = place.runs(&eval);
    let begin = |file: &str, with: &str| {
        let text = fs::read_to_string(place.path(file)).expect("it is read");
        let text = text.replacen('{', &format!("{{{with}, "), 1);
        fs::write(place.path(file), text).expect("it is written");
    };
    fs::write(
        place.path("model/generation_config.json"),
        r#"{"x": -Infinity}"#,
    )
    .expect("it is written");
    begin("model/config.json", r#""x": NaN, "y": [1e400, "\ud800"]"#);
    begin("model/tokenizer_config.json", r#""x": Infinity"#);
    let rows = fs::read_to_string(place.path("valid.jsonl")).expect("rows");
    let scored = rows.replace("{\"", "{\"score\": NaN, \"");
    assert_ne!(rows, scored);
    fs::write(place.path("valid.jsonl"), &scored).expect("it is written");
    assert_eq!(place.runs(&eval), expected);
    place.runs(&["generate", "--model", "model", "--prompt", "the"]);

    for (row, part) in [
        (r#"{"text": NaN}"#, "`text` is not a string"),
        (r#"{"text": "a", "label": NaN}"#, "label null"),
        (r#"{"text": nan}"#, "no JSON"),
    ] {
        fs::write(place.path("valid.jsonl"), row).expect("it is written");
        let message = place.refuses(&eval);
        assert!(message.contains(part), "{row}: {message}");
    }
    fs::write(
        place.path("model/generation_config.json"),
        r#"{"temperature": NaN, "do_sample": true}"#,
    )
    .expect("it is written");
    let message = place.refuses(&["generate", "--model", "model", "--prompt", "the"]);
    for part in ["temperature", "NaN"] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    fs::write(place.path("valid.jsonl"), scored).expect("it is written");
    begin("model/config.json", r#""rms_norm_eps": 1"#);
    let text = fs::read_to_string(place.path("model/config.json")).expect("it is read");
    // Of two keys the last holds, as in Python.
    let last = text.trim_end().trim_end_matches('}').trim_end();
    let nan = format!("{last}, \"rms_norm_eps\": NaN}}");
    fs::write(place.path("model/config.json"), nan).expect("it is written");
    let message = place.refuses(&eval);
    for part in ["rms_norm_eps", "NaN"] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
}
