//! PEFT's LN tuning is read and written as PEFT does.

use std::fs;
use std::path::Path;

use burn::module::Module;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use peft_layerwise::Norms;
use peft_models::{CausalLm, SequenceClassifier, Transformer};
use peft_store::{Checkpoint, TrainedConfig, TrainedFormat, save_trained};
use peft_tests::tolerance::GOLDEN_LOGITS;
use serde_json::{Value, json};

use super::{CONFIG, TENSORS, goldens, language_model, named, open, tensors};
use crate::fixture::params;

peft_tests::cases!(peft_reads_and_writes_the_same_norms);

fn floats(tensor: &(Vec<usize>, Vec<u8>)) -> Vec<f32> {
    let bytes = tensor.1.chunks_exact(4);
    bytes
        .map(|b| f32::from_le_bytes(b.try_into().expect("4 bytes")))
        .collect()
}

fn ints(tensor: &(Vec<usize>, Vec<u8>), device: &Device) -> Tensor<2, Int> {
    let bytes = tensor.1.chunks_exact(8);
    let values: Vec<i64> = bytes
        .map(|b| i64::from_le_bytes(b.try_into().expect("8 bytes")))
        .collect();
    Tensor::from_data(
        TensorData::new(values, tensor.0.clone()),
        (device, DType::I64),
    )
}

/// PEFT's directory gives PEFT's logits; what is written of that model is PEFT's file.
fn peft_reads_and_writes_the_same_norms(device: &Device) {
    for name in ["llama", "gpt2", "bert"] {
        let dir = goldens().join("ln_tuning").join(name);
        let base = fs::read_to_string(dir.join("base.txt")).expect("a base");
        let expected = tensors(&dir.join("expected.safetensors"));
        let ids = ints(&expected["input_ids"], device);
        let found: Tensor<1> = match name {
            "bert" => {
                let checkpoint = Checkpoint::open(goldens().join("models").join(base.trim()));
                let mut model = checkpoint
                    .and_then(|checkpoint| checkpoint.load_classifier(3, device, DType::F32))
                    .expect("it loads")
                    .model;
                same_norms(&dir, &mut model, &["classifier"]);
                let segments = ints(&expected["attention_mask"], device);
                let segments = segments.neg().add_scalar(1);
                model.classify(ids, Some(segments)).reshape([-1])
            }
            _ => {
                let mut model = language_model(base.trim(), DType::F32, device);
                same_norms(&dir, &mut model, &[]);
                model.logits(model.hidden(ids, None, None)).reshape([-1])
            }
        };
        let found: Vec<f32> = found.into_data().iter().collect();
        let expected = floats(&expected["logits"]);
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(&expected) {
            assert!(
                (a - b).abs() <= GOLDEN_LOGITS * b.abs().max(1.0),
                "{name}: {a} {b}"
            );
        }
    }
    peft_tests::Invariant::Reference.verified("layer-wise", device);
}

/// Attach PEFT's directory, write the model's norms and head again, and compare the files.
fn same_norms<M: Module>(dir: &Path, model: &mut M, heads: &[&str]) {
    let plain = model.clone();
    let found = open(dir);
    let report = found.attach(model).expect("it fits");
    let norms = Norms::new(model).expect("it has norms");
    assert!(report.paths.is_superset(&named(model, &norms)));
    let config = TrainedConfig {
        format: TrainedFormat::LnTuning {
            modules_to_save: heads.iter().map(|head| (*head).to_owned()).collect(),
        },
        ..found.config().clone()
    };
    let written = tempfile::tempdir().expect("a directory");
    // One parameter of a norm is enough: a layer is tuned whole.
    let weights = Norms::weights(model).expect("it has norms");
    save_trained(model, &named(model, &weights), &config, written.path()).expect("it is written");
    assert!(tensors(&written.path().join(TENSORS)) == tensors(&dir.join(TENSORS)));
    let fields: Value = {
        let text = fs::read_to_string(written.path().join(CONFIG)).expect("a config");
        serde_json::from_str(&text).expect("JSON")
    };
    assert_eq!(fields["peft_type"], "LN_TUNING");
    assert_eq!(fields["task_type"], json!(found.config().task_type));
    let mut again = plain;
    open(written.path()).attach(&mut again).expect("it fits");
    assert!(params(&again) == params(model));
}
