//! The elementwise functions that a config names, against transformers'
//! (`tests/goldens/make_activations.py`).

use std::fs;
use std::path::Path;

use burn::tensor::{DType, Device, Tensor, TensorData};
use peft_models::{Activation, LanguageModelConfig};
use peft_store::{Checkpoint, CheckpointConfig};
use serde_json::Value;

peft_tests::cases!(functions_are_transformers);

/// The function that a Llama's config of this name asks for.
fn named(goldens: &Path, name: &str) -> Activation {
    let text = fs::read_to_string(goldens.join("models/gqa/config.json")).expect("a config");
    let mut config: Value = serde_json::from_str(&text).expect("JSON");
    config["hidden_act"] = name.into();
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("config.json"), config.to_string()).expect("it is written");
    let checkpoint = Checkpoint::open(dir.path()).unwrap_or_else(|error| panic!("{name}: {error}"));
    match checkpoint.config() {
        CheckpointConfig::LanguageModel(LanguageModelConfig::Decoder(config)) => config.activation,
        _ => panic!("no decoder"),
    }
}

fn numbers(value: &Value) -> Vec<f32> {
    serde_json::from_value(value.clone()).expect("numbers")
}

fn functions_are_transformers(device: &Device) {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens");
    let text = fs::read_to_string(goldens.join("activations.json")).expect("the golden");
    let golden: Value = serde_json::from_str(&text).expect("JSON");
    let points = numbers(&golden["points"]);
    let functions = golden["functions"].as_object().expect("functions");
    assert_eq!(functions.len(), 22);
    let near = |found: Tensor<1>, expected: &Value, what: &str| {
        let found = found.into_data();
        for ((a, b), x) in found.iter::<f32>().zip(numbers(expected)).zip(&points) {
            assert!(
                (a - b).abs() <= 2e-6 * b.abs().max(1.0),
                "{what} at {x}: {a} and {b}"
            );
        }
    };
    let device = device.clone().autodiff();
    for (name, expected) in functions {
        let data = TensorData::new(points.clone(), [points.len()]);
        let x = Tensor::<1>::from_data(data, (&device, DType::F32)).require_grad();
        let y = named(&goldens, name).apply(x.clone());
        let gradient = x.grad(&y.clone().sum().backward()).expect("a gradient");
        near(y, &expected["value"], name);
        near(
            gradient,
            &expected["gradient"],
            &format!("the gradient of {name}"),
        );
    }
}
