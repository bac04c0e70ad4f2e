//! What PEFT computes for adapters on encoders: logits, gradients under the file's keys, and the
//! files that we write for them.

use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use peft_core::ForwardPath;
use peft_models::{SequenceClassifier, TextClassifier, TokenClassifier, Transformer};
use peft_store::{AdapterDir, AdapterInfo, Checkpoint, save_adapter};
use peft_tests::tolerance::{GOLDEN_GRADIENTS, GOLDEN_LOGITS};
use peft_tests::{Tensors, read_tensors};
use serde_json::{Map, Value};
use tempfile::TempDir;

peft_tests::cases!(adapters_of_encoders_equal_peft);

const NAME: &str = "default";
/// The rate of a step that shows a gradient: a power of two, which rounds nothing.
const RATE: f64 = 1024.0;

pub(crate) fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens")
}

/// A copy of an encoder whose dropout is off, as it was when the gradients were computed.
pub(crate) fn base(adapter: &Path) -> TempDir {
    let name = fs::read_to_string(adapter.join("base.txt")).expect("a base");
    let from = goldens().join("models").join(name.trim());
    let dir = tempfile::tempdir().expect("a directory");
    let weights = "model.safetensors";
    fs::copy(from.join(weights), dir.path().join(weights)).expect("it is copied");
    let text = fs::read_to_string(from.join("config.json")).expect("a config");
    let mut config: Map<String, Value> = serde_json::from_str(&text).expect("an object");
    for (field, value) in &mut config {
        if field.contains("dropout") && value.is_number() {
            *value = 0.0.into();
        }
    }
    let text = serde_json::to_string(&config).expect("JSON");
    fs::write(dir.path().join("config.json"), text).expect("it is written");
    dir
}

pub(crate) fn ints(expected: &Tensors, name: &str, device: &Device) -> Tensor<2, Int> {
    let (shape, values) = &expected[name];
    let values: Vec<i64> = values.iter().map(|value| *value as i64).collect();
    Tensor::from_data(TensorData::new(values, shape.clone()), (device, DType::I64))
}

pub(crate) fn assert_near(what: &str, found: &[f64], expected: &[f64], tolerance: f32, floor: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(floor, |m: f64, v| m.max(v.abs()));
    for (a, b) in found.iter().zip(expected) {
        let limit = f64::from(tolerance) * largest;
        assert!((a - b).abs() <= limit, "{what}: {a}, expected {b}");
    }
}

pub(crate) fn flat<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor.clone().into_data().iter::<f64>().collect()
}

fn adapters_of_encoders_equal_peft(device: &Device) {
    let device = device.clone().autodiff();
    let mut seen = 0;
    let mut dirs: Vec<PathBuf> = fs::read_dir(goldens().join("adapters"))
        .expect("goldens")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    dirs.sort();
    for dir in dirs {
        let base_name = fs::read_to_string(dir.join("base.txt")).expect("a base");
        if !base_name.contains("encoders/") {
            continue;
        }
        println!("{}", dir.display());
        let expected = read_tensors(&dir.join("expected.safetensors"));
        let base = base(&dir);
        let checkpoint = Checkpoint::open(base.path()).expect("it opens");
        let n_labels = expected
            .get("logits")
            .map_or(0, |(shape, _)| shape[shape.len() - 1]);
        match expected.get("logits").map(|(shape, _)| shape.len()) {
            None => {
                let model = checkpoint
                    .load_encoder(&device, DType::F32)
                    .expect("it loads");
                let loss = |hidden: Tensor<3>| hidden.square().mean();
                check(
                    model,
                    &dir,
                    &expected,
                    &device,
                    "hidden",
                    |_, hidden, _| hidden,
                    loss,
                );
            }
            Some(2) => {
                let model = checkpoint
                    .load_classifier(n_labels, &device, DType::F32)
                    .expect("it loads");
                let read = |model: &TextClassifier, hidden, segments| {
                    model.class_logits(hidden, Some(segments)).unsqueeze_dim(1)
                };
                let labels = &expected["labels"];
                let loss = |logits: Tensor<3>| class_loss(logits, labels, &device);
                check(model.model, &dir, &expected, &device, "logits", read, loss);
            }
            Some(_) => {
                let model = checkpoint
                    .load_tagger(n_labels, &device, DType::F32)
                    .expect("it loads");
                let labels = &expected["labels"];
                let loss = |logits: Tensor<3>| class_loss(logits, labels, &device);
                check(
                    model.model,
                    &dir,
                    &expected,
                    &device,
                    "logits",
                    |model, hidden, _| model.token_logits(hidden),
                    loss,
                );
            }
        }
        let family = checkpoint.fields()["model_type"]
            .as_str()
            .expect("a family");
        let task = match expected.get("logits").map(|(shape, _)| shape.len()) {
            None => "features",
            Some(2) => "texts",
            Some(_) => "tokens",
        };
        let kind = dir.file_name().and_then(|name| name.to_str());
        let row = format!("{family} | {task}");
        peft_tests::verified("models", &row, "adapters", kind.expect("a name"));
        seen += 1;
    }
    assert!(seen >= 12, "only {seen} adapters of encoders");
}

/// The loss of transformers for these labels: of values, of several classes, or of one where the
/// label is not negative.
fn class_loss(
    logits: Tensor<3>,
    (shape, labels): &(Vec<usize>, Vec<f64>),
    device: &Device,
) -> Tensor<1> {
    let [rows, positions, n] = logits.dims();
    let flat = logits.reshape([rows * positions, n]);
    let targets: Vec<f32> = labels.iter().map(|label| *label as f32).collect();
    if n == 1 {
        let targets = Tensor::<1>::from_data(targets.as_slice(), device).reshape([rows, 1]);
        return (flat - targets).square().mean();
    }
    if shape.len() == 2 && shape[1] == n && positions == 1 {
        let targets = Tensor::<1>::from_data(targets.as_slice(), device).reshape([rows, n]);
        let softplus = (flat.clone().neg().abs().neg().exp() + 1.0).log();
        let positive = (flat.clone().abs() + flat.clone()) / 2.0;
        return (positive - flat * targets + softplus).mean();
    }
    let mask: Vec<f32> = targets
        .iter()
        .flat_map(|label| one_hot(*label, n))
        .collect();
    let count = targets.iter().filter(|label| **label >= 0.0).count();
    let mask = Tensor::<1>::from_data(mask.as_slice(), device).reshape([rows * positions, n]);
    let log_probs = burn::tensor::activation::log_softmax(flat, 1);
    (log_probs * mask).sum().neg() / count as f64
}

fn one_hot(label: f32, n: usize) -> Vec<f32> {
    (0..n)
        .map(|i| f32::from(u8::from(i as f32 == label)))
        .collect()
}

fn check<M: Transformer>(
    mut model: M,
    dir: &Path,
    expected: &Tensors,
    device: &Device,
    output: &str,
    read_head: impl Fn(&M, Tensor<3>, Tensor<2, Int>) -> Tensor<3>,
    loss: impl Fn(Tensor<3>) -> Tensor<1>,
) {
    let adapter = AdapterDir::open(dir).expect("it opens");
    adapter
        .attach(&mut model, NAME, ForwardPath::Factored)
        .unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let ids = ints(expected, "input_ids", device);
    let mask = match expected.contains_key("attention_mask") {
        true => ints(expected, "attention_mask", device),
        false => ids.ones_like(),
    };
    let segments = mask.ones_like() - mask.clone();
    let forward = || {
        let hidden = model.hidden(ids.clone(), Some(segments.clone()), None);
        read_head(&model, hidden, segments.clone())
    };
    let found = forward();
    let name = dir.display().to_string();
    let (shape, wanted) = &expected[output];
    // What stands at padding is nobody's to compare.
    let kept: Vec<f64> = match shape.len() {
        2 => vec![1.0; wanted.len()],
        _ => {
            let width = shape[2];
            let mask = flat(&mask.float());
            mask.iter().flat_map(|on| vec![*on; width]).collect()
        }
    };
    let masked = |values: &[f64]| -> Vec<f64> {
        values
            .iter()
            .zip(&kept)
            .map(|(value, on)| value * on)
            .collect()
    };
    assert_near(
        &name,
        &masked(&flat(&found)),
        &masked(wanted),
        GOLDEN_LOGITS,
        1.0,
    );
    let value = loss(found);
    if output == "logits" {
        let (_, expected_loss) = &expected["loss"];
        assert_near(&name, &flat(&value), expected_loss, GOLDEN_GRADIENTS, 0.0);
        let stepped = |mut optimizer: ModuleOptimizer, rate: f64| {
            let grads = GradientsParams::from_grads(loss(forward()).backward(), &model);
            saved(&optimizer.step(rate, model.clone(), grads), &adapter)
        };
        let before = saved(&model, &adapter);
        // A plain step shows the gradient under the file's keys; of a rate so high that the
        // rounding of the parameters does not.
        let after = stepped(SgdConfig::new().init(), RATE);
        let adam = AdamWConfig::new()
            .with_epsilon(1e-8)
            .with_weight_decay(0.01);
        let adam = stepped(adam.init(), 1e-2);
        for (key, (_, wanted)) in expected {
            let Some(key) = key.strip_prefix("grad.") else {
                continue;
            };
            let pairs = before[key].1.iter().zip(&after[key].1);
            let gradient: Vec<f64> = pairs
                .map(|(before, after)| (before - after) / RATE)
                .collect();
            let what = format!("{name}: {key}");
            // A bias of all keys changes no weight of attention: its gradient is rounding alone.
            if key.ends_with(".key.bias") {
                let largest = |values: &[f64]| values.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
                assert!(largest(&gradient).max(largest(wanted)) < 1e-7, "{what}");
                continue;
            }
            assert_near(&what, &gradient, wanted, GOLDEN_GRADIENTS, 0.0);
            let (_, wanted) = &expected[&format!("step.{key}")];
            assert_near(&what, &adam[key].1, wanted, GOLDEN_GRADIENTS, 0.0);
        }
    }
    assert_eq!(
        saved(&model.valid(), &adapter).keys().collect::<Vec<_>>(),
        read_tensors(&dir.join("adapter_model.safetensors"))
            .keys()
            .filter(|key| !peft_tests::is_copied_bias(key))
            .collect::<Vec<_>>(),
        "{name}"
    );
}

fn saved<M: Module>(model: &M, adapter: &AdapterDir) -> Tensors {
    let out = tempfile::tempdir().expect("a directory");
    save_adapter(
        model,
        NAME,
        adapter.config(),
        &AdapterInfo::of(adapter),
        out.path(),
    )
    .expect("it saves");
    read_tensors(&out.path().join("adapter_model.safetensors"))
}
