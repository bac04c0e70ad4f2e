//! Generation defaults of a checkpoint.

use std::fs;

use peft_store::{GenerationConfigError, GenerationDefaults};
use serde_json::{Value, json};

fn read(files: &[(&str, Value)]) -> Result<GenerationDefaults, GenerationConfigError> {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, value) in files {
        fs::write(dir.path().join(name), value.to_string()).expect("it is written");
    }
    GenerationDefaults::read(dir.path())
}

fn config(fields: Value) -> Result<GenerationDefaults, GenerationConfigError> {
    read(&[
        ("config.json", json!({ "eos_token_id": 9 })),
        ("generation_config.json", fields),
    ])
}

#[test]
fn the_file_goes_before_the_models_config() {
    let found = config(json!({ "eos_token_id": [1, 2] })).expect("it is read");
    assert_eq!(found.eos, [1, 2]);
    let found = config(json!({ "eos_token_id": 3, "pad_token_id": 4 })).expect("it is read");
    assert_eq!(found.eos, [3]);
    let found = read(&[("config.json", json!({ "eos_token_id": 9 }))]).expect("it is read");
    assert_eq!(found.eos, [9]);
    assert_eq!(
        read(&[]).expect("nothing is there"),
        GenerationDefaults::default()
    );
}

#[test]
fn drawing_is_asked_for() {
    let llama = json!({
        "bos_token_id": 0, "do_sample": true, "eos_token_id": [7, 8], "temperature": 0.6, "top_p": 0.9,
        "transformers_version": "4.43.0", "max_length": 4096, "num_beams": 1, "min_length": 0, "suppress_tokens": [],
        "typical_p": 1.0, "forced_eos_token_id": null,
    });
    let expected = GenerationDefaults {
        eos: vec![7, 8],
        max_new_tokens: None,
        max_length: Some(4096),
        temperature: 0.6,
        top_k: Some(50),
        top_p: Some(0.9),
        repetition_penalty: 1.0,
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
    // Without it the others say nothing.
    let greedy = json!({ "do_sample": false, "temperature": 0.6, "top_k": 3, "top_p": 0.5 });
    let found = config(greedy).expect("it is read");
    assert_eq!(
        (found.temperature, found.top_k, found.top_p),
        (0.0, None, None)
    );
}

#[test]
fn what_is_not_supported_is_named() {
    let message = config(json!({
        "num_beams": 4, "no_repeat_ngram_size": 3, "min_p": 0.1, "bad_words_ids": [[3]], "stop_strings": "x", "length_penalty": 2.0,
    }))
    .expect_err("it is refused")
    .to_string();
    for part in [
        "generation_config.json",
        "`num_beams` to 4",
        "`no_repeat_ngram_size` to 3",
        "`min_p` to 0.1",
        "`bad_words_ids` to [[3]]",
        "`stop_strings`",
    ] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    for wrong in [
        json!({ "eos_token_id": "x" }),
        json!({ "eos_token_id": [-1] }),
        json!({ "do_sample": 3 }),
        json!({ "do_sample": true, "temperature": 0.0 }),
        json!({ "repetition_penalty": -1.0 }),
        json!({ "max_new_tokens": 1.5 }),
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
