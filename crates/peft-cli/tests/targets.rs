//! `--targets regex:EXPRESSION`: the layers that PEFT adapts for the expression
//! (`tests/goldens/make_matching.py`).

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use common::Place;
use safetensors::SafeTensors;
use serde_json::Value;

#[test]
fn an_expression_names_the_layers_that_it_names_for_peft() {
    let place = Place::new();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens/matching.json");
    let golden = fs::read_to_string(golden).expect("the golden");
    let golden: Value = serde_json::from_str(&golden).expect("JSON");
    let cases = golden["expressions"].as_object().expect("cases");
    let (mut trained, mut refused) = (0, 0);
    for (i, (source, matched)) in cases.iter().enumerate() {
        let (targets, out) = (format!("regex:{source}"), format!("run{i}"));
        let rows = [
            "train",
            "--model",
            "model",
            "--train",
            "train.jsonl",
            "--max-steps",
            "1",
        ];
        let args = [&rows[..], &["--out", &out, "--targets", &targets]].concat();
        // The golden's model has three layers, and this one two.
        let matched = matched.as_array().expect("a list").iter();
        let matched: BTreeSet<String> = matched
            .filter_map(|name| name.as_str().map(str::to_owned))
            .filter(|name| !name.contains(".2."))
            .collect();
        if matched.is_empty() {
            let message = place.refuses(&args);
            assert!(message.contains(source.as_str()), "{source}: {message}");
            refused += 1;
            continue;
        }
        place.runs(&args);
        let bytes = place.read(&format!("{out}/adapter_model.safetensors"));
        let tensors = SafeTensors::deserialize(&bytes).expect("sound");
        let adapted: BTreeSet<String> = tensors
            .names()
            .into_iter()
            .filter_map(|key| key.strip_prefix("base_model.model.")?.split_once(".lora_"))
            .map(|(path, _)| path.to_owned())
            .collect();
        assert_eq!(adapted, matched, "{source}");
        // PEFT takes a string for an expression.
        let config: Value =
            serde_json::from_slice(&place.read(&format!("{out}/adapter_config.json")))
                .expect("JSON");
        assert_eq!(config["target_modules"], source.as_str());
        trained += 1;
    }
    assert!(trained >= 7 && refused >= 2, "{trained} and {refused}");
}

/// PEFT leaves them out where it takes its own for a family; the tensors say which they are.
#[test]
fn layers_that_a_config_does_not_name_are_inspected() {
    let place = Place::new();
    for (method, names) in [
        ("lora", ["q_proj", "v_proj"]),
        ("ia3", ["k_proj", "v_proj"]),
    ] {
        let targets = names.join(",");
        let line = format!("--method {method} --max-steps 1 --out {method} --targets {targets}");
        let rows = "train --model model --train train.jsonl".split_whitespace();
        place.runs(&rows.chain(line.split_whitespace()).collect::<Vec<_>>());
        let file = format!("{method}/adapter_config.json");
        let mut config: Value = serde_json::from_slice(&place.read(&file)).expect("JSON");
        for field in ["target_modules", "feedforward_modules"] {
            config[field] = Value::Null;
        }
        fs::write(place.path(&file), config.to_string()).expect("it is written");
        let found = place.runs(&["inspect", method, "--json"]);
        let found: Value = serde_json::from_str(&found).expect("JSON");
        assert_eq!(found["targets"], serde_json::json!(names), "{method}");
    }
}
