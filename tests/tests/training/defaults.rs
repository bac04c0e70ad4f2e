//! Generation defaults of a checkpoint.

use std::fs;

use peft_store::{GenerationConfigError, GenerationDefaults, GenerationFlags, GenerationSettings};
use serde_json::{Value, json};

fn with(
    files: &[(&str, Value)],
    flags: GenerationFlags,
) -> Result<GenerationSettings, GenerationConfigError> {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, value) in files {
        fs::write(dir.path().join(name), value.to_string()).expect("it is written");
    }
    GenerationDefaults::read(dir.path())?.with(&flags)
}

fn flagged(
    fields: Value,
    flags: GenerationFlags,
) -> Result<GenerationSettings, GenerationConfigError> {
    let of_model = json!({ "temperature": 9.0, "do_sample": true });
    let files = [
        ("config.json", of_model),
        ("generation_config.json", fields),
    ];
    with(&files, flags)
}

fn config(fields: Value) -> Result<GenerationSettings, GenerationConfigError> {
    flagged(fields, GenerationFlags::default())
}

fn plain() -> GenerationSettings {
    GenerationSettings {
        repetition_penalty: 1.0,
        ..GenerationSettings::default()
    }
}

#[test]
fn the_file_goes_before_the_models_config() {
    assert_eq!(config(json!({})).expect("it is read"), plain());
    // Older models have the fields in their config.
    let old = json!({ "do_sample": true, "temperature": 0.5, "top_k": 7, "max_length": 50 });
    let found = with(&[("config.json", old)], GenerationFlags::default()).expect("it is read");
    assert_eq!((found.temperature, found.top_k), (0.5, Some(7)));
    assert_eq!(found.max_length, Some(50));
    let none = with(&[], GenerationFlags::default());
    assert_eq!(none.expect("nothing is there"), plain());
}

#[test]
fn drawing_is_asked_for() {
    let llama = json!({
        "bos_token_id": 0, "do_sample": true, "eos_token_id": [7, 8], "temperature": 0.6, "top_p": 0.9,
        "transformers_version": "4.43.0", "max_length": 4096, "num_beams": 1, "min_length": 0, "suppress_tokens": [],
        "typical_p": 1.0, "forced_eos_token_id": null, "min_p": 0.05,
    });
    let expected = GenerationSettings {
        max_length: Some(4096),
        temperature: 0.6,
        top_k: Some(50),
        top_p: Some(0.9),
        min_p: Some(0.05),
        ..plain()
    };
    assert_eq!(config(llama).expect("it is read"), expected);
    let qwen = json!({
        "do_sample": true, "repetition_penalty": 1.05, "temperature": 0.7, "top_k": 20, "top_p": 1.0, "max_new_tokens": 64,
    });
    let found = config(qwen).expect("it is read");
    assert_eq!(
        (found.temperature, found.top_k, found.top_p),
        (0.7, Some(20), None)
    );
    assert_eq!(
        (found.repetition_penalty, found.max_new_tokens),
        (1.05, Some(64))
    );
    let off = json!({ "do_sample": true, "top_k": 0 });
    let found = config(off).expect("it is read");
    assert_eq!((found.temperature, found.top_k), (1.0, None));
    // Without it the others say nothing, and are not looked at.
    let greedy =
        json!({ "do_sample": false, "temperature": 0.6, "top_k": 3, "top_p": 7, "min_p": "x" });
    assert_eq!(config(greedy).expect("it is read"), plain());
    let zero = config(json!({ "do_sample": true, "temperature": 0.0 })).expect("it is read");
    assert_eq!(zero.temperature, 0.0);
    assert!(zero.notes[0].contains("temperature 0"), "{:?}", zero.notes);
}

/// What was asked for goes before the file, whatever that says.
#[test]
fn flags_go_before_the_file() {
    let odd = json!({
        "do_sample": 3, "temperature": "hot", "top_k": -1, "top_p": [], "min_p": 4, "typical_p": 0.2,
    });
    let greedy = GenerationFlags {
        temperature: Some(0.0),
        ..GenerationFlags::default()
    };
    assert_eq!(flagged(odd.clone(), greedy).expect("it is read"), plain());
    let drawn = GenerationFlags {
        temperature: Some(0.5),
        top_k: Some(4),
        top_p: Some(0.3),
        min_p: Some(0.2),
        max_new_tokens: Some(5),
    };
    let found = flagged(odd, drawn).expect("it is read");
    let expected = GenerationSettings {
        temperature: 0.5,
        top_k: Some(4),
        top_p: Some(0.3),
        min_p: Some(0.2),
        max_new_tokens: Some(5),
        notes: found.notes.clone(),
        ..plain()
    };
    assert_eq!(found, expected);
    assert!(
        found.notes[0].contains("`typical_p` to 0.2"),
        "{:?}",
        found.notes
    );
    // A temperature alone takes the other fields from the file, and 50 from nowhere.
    let only = GenerationFlags {
        temperature: Some(2.0),
        ..GenerationFlags::default()
    };
    let found = flagged(json!({ "top_p": 0.5 }), only).expect("it is read");
    assert_eq!((found.top_k, found.top_p), (Some(50), Some(0.5)));
    // Flags that do nothing are said.
    let idle = GenerationFlags {
        top_k: Some(3),
        ..GenerationFlags::default()
    };
    let found = flagged(json!({}), idle).expect("it is read");
    assert!(found.notes[0].contains("--top-k"), "{:?}", found.notes);
}

#[test]
fn what_is_not_supported_is_named_and_left_out() {
    let found = config(json!({
        "num_beams": 4, "stop_strings": "x", "length_penalty": 2.0, "typical_p": 0.5,
        "no_repeat_ngram_size": 3, "bad_words_ids": [[3]], "suppress_tokens": [4],
        "begin_suppress_tokens": [5, 6], "min_length": 2, "min_new_tokens": 7,
    }))
    .expect("it is read");
    let notes = found.notes.join("\n");
    for part in [
        "generation_config.json",
        "`num_beams` to 4",
        "`stop_strings` to \"x\"",
    ] {
        assert!(notes.contains(part), "{part} is not in {notes}");
    }
    // It shapes drawing, and nothing is drawn.
    assert!(!notes.contains("typical_p"), "{notes}");
    let expected = GenerationSettings {
        no_repeat_ngram_size: 3,
        bad_words: vec![vec![3]],
        suppressed: vec![4],
        suppressed_first: vec![5, 6],
        min_length: 2,
        min_new_tokens: 7,
        notes: found.notes.clone(),
        ..plain()
    };
    assert_eq!(found, expected);
}

#[test]
fn fields_that_cannot_be_are_refused() {
    for wrong in [
        json!({ "do_sample": 3 }),
        json!({ "do_sample": true, "temperature": -1.0 }),
        json!({ "do_sample": true, "min_p": 1.5 }),
        json!({ "repetition_penalty": -1.0 }),
        json!({ "max_new_tokens": 1.5 }),
        json!({ "suppress_tokens": [-1] }),
        json!({ "bad_words_ids": [3] }),
    ] {
        assert!(matches!(
            config(wrong),
            Err(GenerationConfigError::Field { .. })
        ));
    }
    assert!(matches!(
        config(json!([1])),
        Err(GenerationConfigError::Json { .. })
    ));
}
