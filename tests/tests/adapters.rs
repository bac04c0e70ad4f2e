//! What PEFT computes for the same adapters: logits, loss, gradients and one optimizer step, and
//! the files that we write for them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::{DType, Device};
use peft_core::{ForwardPath, merge};
use peft_layerwise::{AllTrainable, Rated};
use peft_lora::LoraPlus;
use peft_models::{CausalLm, LanguageModel, Transformer};
use peft_store::{AdapterDir, AdapterInfo, Checkpoint, save_adapter};
use peft_tests::tolerance::{GOLDEN_GRADIENTS, GOLDEN_LOGITS, PATHS, PATHS_RANDOM_SHADERS};
use peft_train::{
    Batch, EvalReport, Example, NextToken, Observer, Progress, Schedule, StepReport, TrainConfig,
    TrainError, Trainer, Warmup, target_nll,
};
use serde_json::Value;

peft_tests::cases!(
    adapters_equal_peft,
    a_step_of_lora_plus_equals_peft,
    merged_equals_unmerged,
    files_round_trip
);

const NAME: &str = "default";
/// What is below it in a gradient is rounding: a bias of all keys changes no weight of attention.
const ROUNDING: f64 = 1e-7;
/// The rate of a plain step that shows a gradient.
const RATE: f64 = 1024.0;
/// Tensors of layers that do not train.
const CONSTANT: [&str; 4] = [
    ".delora_w_norm",
    ".shira_indices",
    "_topk_indices",
    "_topk_weights",
];
/// What trains of VB-LoRA and is of no layer.
const BANK: &str = "base_model.vblora_vector_bank";

/// The adapters of `tests/goldens`, with their models' directories.
fn goldens() -> Vec<(PathBuf, PathBuf)> {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens");
    let mut dirs: Vec<_> = fs::read_dir(goldens.join("adapters"))
        .expect("goldens are there")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    dirs.retain(|dir| {
        let base = fs::read_to_string(dir.join("base.txt")).expect("a base");
        !base.contains("encoders/")
    });
    dirs.sort();
    assert!(dirs.len() >= 30, "only {} golden adapters", dirs.len());
    dirs.into_iter()
        .map(|dir| {
            let base = fs::read_to_string(dir.join("base.txt")).expect("a base");
            (goldens.join("models").join(base.trim()), dir)
        })
        .collect()
}

/// The `model_type` of a checkpoint.
fn family(base: &Path) -> String {
    let checkpoint = Checkpoint::open(base).expect("it opens");
    let family = checkpoint.fields()["model_type"].as_str();
    family.expect("a family").to_owned()
}

/// The model with its adapter, and the paths of the base's weights that the file has replaced.
fn load(base: &Path, adapter: &Path, device: &Device) -> (LanguageModel, Vec<String>) {
    let mut model = Checkpoint::open(base)
        .and_then(|checkpoint| checkpoint.load(device, DType::F32))
        .expect("the base loads");
    let attached = AdapterDir::open(adapter).and_then(|dir| {
        if dir.changes_output_layer()? {
            model = model.clone().untie();
        }
        dir.attach(&mut model, NAME, ForwardPath::Factored)
    });
    let report = attached.unwrap_or_else(|error| panic!("{}: {error}", adapter.display()));
    (model, report.replaced)
}

type Tensors = BTreeMap<String, Vec<f64>>;

fn read(path: &Path) -> Tensors {
    let tensors = peft_tests::read_tensors(path).into_iter();
    tensors.map(|(key, (_, values))| (key, values)).collect()
}

/// All values within `tolerance` of the largest expected one, or of 1 where that is smaller and
/// `absolute` is set.
fn assert_close(what: &str, found: &[f64], expected: &[f64], tolerance: f32, absolute: bool) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    let scale = if absolute { largest.max(1.0) } else { largest };
    let worst = found
        .iter()
        .zip(expected)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max);
    assert!(
        worst <= f64::from(tolerance) * scale,
        "{what}: {worst:.3e} apart, values up to {largest:.3e}"
    );
}

fn examples(expected: &Tensors) -> Vec<Example> {
    let ids = &expected["input_ids"];
    let labels = &expected["labels"];
    ids.chunks(ids.len() / 2)
        .zip(labels.chunks(ids.len() / 2))
        .map(|(ids, labels)| {
            Example::new(
                ids.iter().map(|id| *id as u32).collect(),
                labels.iter().map(|label| *label >= 0.0).collect(),
            )
        })
        .collect()
}

fn batch(expected: &Tensors, device: &Device) -> Batch {
    let examples = examples(expected);
    Batch::new(&examples.iter().collect::<Vec<_>>(), device)
}

fn logits(model: &LanguageModel, batch: &Batch) -> Vec<f64> {
    let logits = model.logits(model.hidden(batch.ids.clone(), None, None));
    logits.into_data().iter::<f64>().collect()
}

/// The adapter's tensors as they would be in its file.
fn saved(model: &LanguageModel, dir: &AdapterDir, replaced: &[String]) -> Tensors {
    let out = tempfile::tempdir().expect("a directory");
    let about = AdapterInfo::of(dir).with_replaced(replaced.to_vec());
    save_adapter(model, NAME, dir.config(), &about, out.path()).expect("it saves");
    read(&out.path().join("adapter_model.safetensors"))
}

fn adapters_equal_peft(device: &Device) {
    let device = device.clone().autodiff();
    for (base, adapter) in goldens() {
        let name = adapter.display();
        let expected = read(&adapter.join("expected.safetensors"));
        let dir = AdapterDir::open(&adapter).expect("it opens");
        let (model, replaced) = load(&base, &adapter, &device);
        assert_eq!(
            !replaced.is_empty(),
            adapter.to_string_lossy().contains("_saved_"),
            "{name}: {replaced:?}"
        );
        let batch = batch(&expected, &device);
        let found = logits(&model, &batch);
        assert_close(
            &format!("{name}: logits"),
            &found,
            &expected["logits"],
            GOLDEN_LOGITS,
            true,
        );

        let loss = target_nll(&model, &batch).mean();
        let value = f64::from(loss.clone().into_scalar::<f32>());
        assert_close(
            &format!("{name}: loss"),
            &[value],
            &expected["loss"],
            GOLDEN_GRADIENTS,
            false,
        );

        let stepped = |mut optimizer: ModuleOptimizer, lr: f64| {
            let grads = grads_of(&model, &batch);
            saved(&optimizer.step(lr, model.clone(), grads), &dir, &[])
        };
        // A plain step shows the gradient under the file's keys; of a rate so high that the
        // rounding of the parameters does not.
        let before = saved(&model, &dir, &[]);
        let after = stepped(SgdConfig::new().init(), RATE);
        let adam = stepped(
            AdamWConfig::new()
                .with_epsilon(1e-8)
                .with_weight_decay(0.01)
                .init(),
            1e-2,
        );
        let keys: Vec<&str> = expected
            .keys()
            .filter_map(|key| key.strip_prefix("grad."))
            .collect();
        assert_eq!(
            keys,
            before
                .keys()
                .filter(|key| key.starts_with("base_model.model.") || *key == BANK)
                .filter(|key| !CONSTANT.iter().any(|end| key.ends_with(end)))
                .collect::<Vec<_>>(),
            "{name}: what trains"
        );
        for key in keys {
            if expected[&format!("grad.{key}")].is_empty() {
                assert!(before[key].is_empty(), "{name}: {key}"); // a layer without a rank
                continue;
            }
            let gradient: Vec<f64> = before[key]
                .iter()
                .zip(&after[key])
                .map(|(before, after)| (before - after) / RATE)
                .collect();
            let what = format!("{name}: {key}");
            assert_close(
                &what,
                &gradient,
                &expected[&format!("grad.{key}")],
                GOLDEN_GRADIENTS,
                false,
            );
            if adapter.ends_with("lora_plus") {
                continue; // its step is of rates that a plain optimizer has not
            }
            // Adam's step on a gradient that is nothing but rounding is anything up to its rate.
            let gradient = &expected[&format!("grad.{key}")];
            let told = |values: &[f64]| -> Vec<f64> {
                let pairs = values.iter().zip(gradient);
                let told = pairs.filter(|(_, gradient)| gradient.abs() > ROUNDING);
                told.map(|(value, _)| *value).collect()
            };
            let step = told(&expected[&format!("step.{key}")]);
            assert!(!step.is_empty(), "{what}");
            assert_close(&what, &told(&adam[key]), &step, GOLDEN_GRADIENTS, false);
        }
        let kind = adapter.file_name().and_then(|name| name.to_str());
        peft_tests::verified(
            "models",
            &format!("{} | next token", family(&base)),
            "adapters",
            kind.expect("a name"),
        );
        if !adapter.ends_with("tokens") && !adapter.ends_with("tokens_tied") {
            peft_tests::Invariant::Reference.verified(&method(&adapter), &device);
        }
    }
}

/// The column of an adapter's method.
fn method(adapter: &Path) -> String {
    let text = fs::read_to_string(adapter.join("adapter_config.json")).expect("a config");
    let config: Value = serde_json::from_str(&text).expect("JSON");
    let named = config["peft_type"]
        .as_str()
        .expect("a method")
        .to_lowercase();
    match config["use_dora"] {
        Value::Bool(true) => "dora".into(),
        _ => named,
    }
}

struct Unwatched;

impl<M> Observer<M> for Unwatched {
    fn on_step(&mut self, _: &StepReport, _: &Progress<'_, M>) -> Result<(), TrainError> {
        Ok(())
    }

    fn on_eval(&mut self, _: &EvalReport, _: bool, _: &Progress<'_, M>) -> Result<(), TrainError> {
        Ok(())
    }
}

/// PEFT's groups of parameters: `B` and vectors at four times the rate of `A`, factors on an
/// embedding at 10⁻⁶.
fn a_step_of_lora_plus_equals_peft(device: &Device) {
    let device = device.clone().autodiff();
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens");
    let adapter = goldens.join("adapters/lora_plus");
    let dir = AdapterDir::open(&adapter).expect("it opens");
    let expected = read(&adapter.join("expected.safetensors"));
    let (model, _) = load(&goldens.join("models/biased"), &adapter, &device);
    let config = TrainConfig {
        max_steps: Some(1),
        batch_size: 2,
        learning_rate: 1e-2,
        schedule: Schedule::Constant,
        warmup: Warmup::Steps(0),
        max_grad_norm: None,
        ..TrainConfig::default()
    };
    let rates = LoraPlus::new(4.0, config.learning_rate).expect("it can be");
    let factors = rates.factors(&model).expect("it has some");
    let rated = Rated::new(AllTrainable, factors, Value::Null).expect("they are above 0");
    let rows = examples(&expected);
    let stepped = Trainer::new(&config, &rows)
        .with_strategy(&rated)
        .run(model, &NextToken, &mut Unwatched)
        .expect("it trains");
    let found = saved(&stepped, &dir, &[]);
    let mut seen = 0;
    for (key, values) in &expected {
        if let Some(key) = key.strip_prefix("step.") {
            assert_close(key, &found[key], values, GOLDEN_GRADIENTS, false);
            seen += 1;
        }
    }
    assert_eq!(seen, 8);
}

fn grads_of(model: &LanguageModel, batch: &Batch) -> GradientsParams {
    GradientsParams::from_grads(target_nll(model, batch).mean().backward(), model)
}

fn merged_equals_unmerged(device: &Device) {
    for (base, adapter) in goldens() {
        let expected = read(&adapter.join("expected.safetensors"));
        let batch = batch(&expected, device);
        let (model, _) = load(&base, &adapter, device);
        let mut merged = model.clone().untie_if_adapted();
        let kept = merge(&mut merged).expect("it merges");
        assert!(peft_core::slots(&merged).is_empty());
        let what = format!("{}: merged", adapter.display());
        let unmerged = logits(&model, &batch);
        let is_random = what.contains("randlora");
        let tolerance = match peft_tests::backend(device) {
            "vulkan" | "wgpu" if is_random => PATHS_RANDOM_SHADERS,
            _ => PATHS,
        };
        assert_close(&what, &logits(&merged, &batch), &unmerged, tolerance, true);
        kept.restore(&mut merged);
        assert_eq!(
            logits(&merged, &batch),
            logits(&model.untie_if_adapted(), &batch),
            "{what}"
        );
    }
}

fn files_round_trip(device: &Device) {
    for (base, adapter) in goldens() {
        let dir = AdapterDir::open(&adapter).expect("it opens");
        let (model, replaced) = load(&base, &adapter, device);
        let model = model.valid();
        let mut original = read(&adapter.join("adapter_model.safetensors"));
        // A copy of the base that PEFT adds and that says nothing new.
        original.retain(|key, _| !key.ends_with(".base_layer.weight") || !replaced.is_empty());
        // PEFT writes the matrices of RandLoRA, which all layers share, once more for each layer.
        let is_shared_again = |key: &str| {
            let of_layer = key.starts_with("base_model.model.");
            of_layer && (key.ends_with(".randlora_A") || key.ends_with(".randlora_B"))
        };
        original.retain(|key, _| !is_shared_again(key));
        // Of a bias that trains whole PEFT saves copies that it does not read into the adapter.
        original.retain(|key, _| !peft_tests::is_copied_bias(key));
        // Of a tied output layer PEFT saves the embedding's rows once more.
        original.remove("base_model.model.lm_head.trainable_tokens_delta");
        let mut again = saved(&model, &dir, &replaced);
        // Ends that are one weight are written once, and those that were one as the two that they
        // are.
        if adapter.ends_with("lora_saved_ends_tied") || adapter.ends_with("gpt2_lora_saved_ends") {
            assert!(original.remove("base_model.model.lm_head.weight").is_some());
        }
        if adapter.ends_with("lora_saved_head_tied") {
            let embedding = again.remove("base_model.model.model.embed_tokens.weight");
            let head = "base_model.model.lm_head.base_layer.weight";
            assert_eq!(embedding.as_ref(), original.get(head));
        }
        // Weights of what VB-LoRA mixes are held as logits: to rounding.
        let weights = again.keys().filter(|key| key.ends_with("_topk_weights"));
        for key in weights.cloned().collect::<Vec<_>>() {
            let (found, expected) = (again.remove(&key), original.remove(&key));
            let (found, expected) = found.zip(expected).expect("both have it");
            assert_close(&key, &found, &expected, GOLDEN_GRADIENTS, false);
        }
        assert_eq!(again, original, "{}", adapter.display());
        if !adapter.ends_with("tokens") && !adapter.ends_with("tokens_tied") {
            peft_tests::Invariant::Files.verified(&method(&adapter), device);
        }
    }
}

/// Drawn by the seed, as PEFT's lie in a file.
#[test]
fn veras_matrices_are_pefts() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens/adapters/gpt2_vera");
    let file = read(&dir.join("adapter_model.safetensors"));
    let drawn = peft_vera::VeraConfig::new(4)
        .with_seed(0)
        .projections([32, 96]);
    for (key, drawn) in ["base_model.vera_A", "base_model.vera_B"].iter().zip(drawn) {
        let found: Vec<f64> = drawn.iter::<f64>().collect();
        assert_eq!(found, file[*key]);
    }
}
