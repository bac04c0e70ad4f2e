//! What PEFT computes for its own directories: logits, loss, the gradient of all that trains, and
//! the files that we write for them.

use std::fs;
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleMapper, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Tensor};
use peft_models::{CausalLm, LanguageModel, SequenceClassifier, TextClassifier, Transformer};
use peft_ptuning::{Prompted, SoftPrompt};
use peft_store::{AdapterDir, AdapterInfo, Checkpoint, save_prompt};
use peft_tests::tolerance::{GOLDEN_GRADIENTS, GOLDEN_LOGITS};
use peft_train::{
    ClassExample, Example, NextToken, Objective, SequenceClassification, Target, TrainExample,
};
use serde_json::{Map, Value};

use super::NAME;
use peft_tests::{Tensors, read_tensors as read};

use crate::encoder_adapters::{assert_near, base, flat, goldens, ints};
use crate::fixture::trained;

peft_tests::cases!(
    prompts_equal_peft,
    files_are_those_of_peft,
    without_its_encoder_a_prompt_is_its_vectors
);

const CONFIG: &str = "adapter_config.json";
const VECTORS: &str = "adapter_model.safetensors";
const ENCODER: &str = "prompt_encoder.safetensors";

/// The goldens, and whether they are on encoders.
fn dirs() -> Vec<(PathBuf, bool)> {
    let entries = fs::read_dir(goldens().join("prompts")).expect("goldens");
    let mut dirs: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .map(|dir| {
            let base = fs::read_to_string(dir.join("base.txt")).expect("a base");
            (dir, base.contains("encoders/"))
        })
        .collect();
    dirs.sort();
    let encoders = dirs.iter().filter(|(_, of_encoder)| *of_encoder).count();
    assert!(dirs.len() >= 16 && encoders >= 8, "only {}", dirs.len());
    dirs
}

fn decoder(dir: &Path, device: &Device) -> Prompted<LanguageModel> {
    let base = base(dir);
    let loaded = Checkpoint::open(base.path()).and_then(|base| base.load(device, DType::F32));
    attached(loaded.expect("it loads"), dir)
}

fn classifier(dir: &Path, device: &Device) -> Prompted<TextClassifier> {
    let base = base(dir);
    let loaded =
        Checkpoint::open(base.path()).and_then(|base| base.load_classifier(3, device, DType::F32));
    attached(loaded.expect("it loads").model, dir)
}

fn attached<M: Transformer>(model: M, dir: &Path) -> Prompted<M> {
    let mut model = Prompted::new(model);
    let report = AdapterDir::open(dir)
        .and_then(|adapter| adapter.attach_prompt(&mut model, NAME))
        .unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    assert_eq!(report.replaced, replaced(dir), "{}", dir.display());
    model
}

/// The base's weights that a golden's file puts others over.
fn replaced(dir: &Path) -> Vec<String> {
    match dir.ends_with("llama_prompt_tuning_saved") {
        true => ["lm_head.weight", "model.embed_tokens.weight"]
            .map(str::to_owned)
            .into(),
        false => Vec::new(),
    }
}

/// The rows of a golden without their padding, with their labels.
fn rows(expected: &Tensors) -> Vec<(Vec<u32>, Vec<f64>)> {
    let (shape, ids) = &expected["input_ids"];
    let mask = &expected["attention_mask"].1;
    let labels = &expected["labels"].1;
    let row = |i: usize| {
        let at = i * shape[1];
        let length = mask[at..at + shape[1]].iter().sum::<f64>() as usize;
        let ids = ids[at..at + length].iter().map(|id| *id as u32).collect();
        let labels = match labels.len() == mask.len() {
            true => &labels[at..at + length],
            false => &labels[i..=i],
        };
        (ids, labels.to_vec())
    };
    (0..shape[0]).map(row).collect()
}

fn prompts_equal_peft(device: &Device) {
    let device = device.clone().autodiff();
    for (dir, of_encoder) in dirs() {
        let expected = read(&dir.join("expected.safetensors"));
        let ids = ints(&expected, "input_ids", &device);
        let mask = ints(&expected, "attention_mask", &device);
        let segments = mask.ones_like() - mask;
        let name = dir.display().to_string();
        let wanted = &expected["logits"].1;
        if of_encoder {
            let model = classifier(&dir, &device);
            let logits = model.classify(ids, Some(segments));
            assert_near(&name, &flat(&logits), wanted, GOLDEN_LOGITS, 1.0);
            let rows = rows(&expected)
                .into_iter()
                .map(|(ids, labels)| ClassExample {
                    types: Vec::new(),
                    ids,
                    target: Target::Class(labels[0] as usize),
                });
            let rows: Vec<_> = rows.collect();
            let objective = SequenceClassification::default();
            train(&model, &dir, &objective, &rows, &expected, &device);
        } else {
            let model = decoder(&dir, &device);
            let logits = model.logits(model.hidden(ids, Some(segments.clone()), None));
            let [batch, positions, vocabulary] = logits.dims();
            // What stands at padding is nobody's to compare.
            let text = segments.equal_elem(0).float();
            let seen = flat(&text);
            let wanted: Vec<f64> = (wanted.chunks(vocabulary).zip(seen))
                .flat_map(|(row, on)| row.iter().map(move |value| value * on))
                .collect();
            let logits = logits * text.reshape([batch, positions, 1]);
            assert_near(&name, &flat(&logits), &wanted, GOLDEN_LOGITS, 1.0);
            let rows = rows(&expected).into_iter().map(|(ids, labels)| {
                Example::new(ids, labels.iter().map(|label| *label >= 0.0).collect())
            });
            let rows: Vec<_> = rows.collect();
            train(&model, &dir, &NextToken, &rows, &expected, &device);
        }
    }
    peft_tests::Invariant::Reference.verified("prompt tuning", &device);
    peft_tests::Invariant::Reference.verified("p-tuning", &device);
}

/// The loss is PEFT's, and so is the gradient of everything that trains.
fn train<M: Transformer, O: Objective<Prompted<M>>>(
    model: &Prompted<M>,
    dir: &Path,
    objective: &O,
    rows: &[O::Example],
    expected: &Tensors,
    device: &Device,
) {
    let name = dir.display();
    let rows: Vec<&O::Example> = rows.iter().collect();
    let targets: usize = rows.iter().map(|row| row.n_targets()).sum();
    let loss = objective.loss_sum(model, &rows, device) / targets as f64;
    let what = format!("{name}: loss");
    assert_near(
        &what,
        &flat(&loss),
        &expected["loss"].1,
        GOLDEN_GRADIENTS,
        0.0,
    );
    let grads = GradientsParams::from_grads(loss.backward(), model);
    let out = tempfile::tempdir().expect("a directory");
    let made = model.valid().map(&mut ToGradients(grads));
    save(&made, dir, Vec::new(), out.path());
    let mut found = read(&out.path().join(VECTORS));
    if out.path().join(ENCODER).exists() {
        found.extend(read(&out.path().join(ENCODER)));
        // The vectors that an encoder makes are no parameter.
        found.remove("prompt_embeddings");
    }
    let grads = expected.iter().filter(|(key, _)| key.starts_with("grad."));
    assert_eq!(grads.clone().count(), found.len(), "{name}: what trains");
    for (key, (shape, wanted)) in grads {
        let key = &key["grad.".len()..];
        // The vectors of prompt tuning lie in PEFT's file.
        let place = match found.contains_key(key) {
            true => key,
            false => "prompt_embeddings",
        };
        let (found_shape, values) = &found[place];
        assert_eq!(found_shape, shape, "{name}: {key}");
        let what = format!("{name}: {key}");
        assert_near(&what, values, wanted, GOLDEN_GRADIENTS, 0.0);
    }
}

/// Puts its gradient in the place of each parameter that has one.
struct ToGradients(GradientsParams);

impl ModuleMapper for ToGradients {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.0.get::<D>(param.id) {
            Some(gradient) => param.map(|_| gradient),
            None => param,
        }
    }
}

fn save<M: Transformer>(model: &Prompted<M>, dir: &Path, replaced: Vec<String>, out: &Path) {
    let adapter = AdapterDir::open(dir).expect("it opens");
    let about = AdapterInfo::of(&adapter).with_replaced(replaced);
    save_prompt(model, NAME, adapter.config(), &about, out).expect("it saves");
}

fn files_are_those_of_peft(device: &Device) {
    for (dir, of_encoder) in dirs() {
        let out = tempfile::tempdir().expect("a directory");
        let replaced = replaced(&dir);
        match of_encoder {
            true => save(&classifier(&dir, device), &dir, replaced, out.path()),
            false => save(&decoder(&dir, device), &dir, replaced, out.path()),
        }
        let name = dir.display().to_string();
        let files = [VECTORS, ENCODER];
        for file in files.iter().filter(|file| dir.join(file).exists()) {
            let (found, wanted) = (read(&out.path().join(file)), read(&dir.join(file)));
            let keys = |file: &Tensors| file.keys().cloned().collect::<Vec<_>>();
            assert_eq!(keys(&found), keys(&wanted), "{name}");
            for (key, (shape, values)) in wanted {
                assert_eq!(found[&key].0, shape, "{name}: {key}");
                // An encoder's vectors are computed again; all else is copied.
                let tolerance = if key == "prompt_embeddings" {
                    1e-5
                } else {
                    0.0
                };
                let what = format!("{name}: {key}");
                assert_near(&what, &found[&key].1, &values, tolerance, 0.0);
            }
        }
        assert_eq!(config(out.path()), config(&dir), "{name}");
    }
    peft_tests::Invariant::Files.verified("prompt tuning", device);
    peft_tests::Invariant::Files.verified("p-tuning", device);
}

fn config(dir: &Path) -> Map<String, Value> {
    let text = fs::read_to_string(dir.join(CONFIG)).expect("a config");
    let mut fields: Map<String, Value> = serde_json::from_str(&text).expect("an object");
    // PEFT writes the names of heads twice.
    if let Some(Value::Array(names)) = fields.get_mut("modules_to_save") {
        names.sort_by_key(Value::to_string);
        names.dedup();
    }
    fields
}

fn without_its_encoder_a_prompt_is_its_vectors(device: &Device) {
    let device = device.clone().autodiff();
    let dir = goldens().join("prompts/llama_lstm");
    let copy = tempfile::tempdir().expect("a directory");
    for file in [VECTORS, CONFIG, "base.txt"] {
        fs::copy(dir.join(file), copy.path().join(file)).expect("it is copied");
    }
    let (whole, alone) = (decoder(&dir, &device), decoder(copy.path(), &device));
    let prompt = |model: &Prompted<_>| -> SoftPrompt { model.input.clone().expect("a prompt") };
    assert!(prompt(&whole).encoder.is_some() && prompt(&alone).encoder.is_none());
    let (a, b) = (prompt(&whole).vectors(), prompt(&alone).vectors());
    assert_near("vectors", &flat(&b), &flat(&a), 1e-5, 1.0);
    assert_eq!(trained(&alone), ["prompt.inputs"]);
    // Saved where an encoder lay, it is still its vectors.
    fs::copy(dir.join(ENCODER), copy.path().join(ENCODER)).expect("it is copied");
    save(&alone, &dir, Vec::new(), copy.path());
    assert!(!copy.path().join(ENCODER).exists());
}
