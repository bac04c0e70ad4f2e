//! Directories of prefixes: what is saved is what is read, PEFT's are read and written as they are,
//! and what does not fit is refused by name.

use std::fs;
use std::path::Path;

use burn::tensor::{DType, Device, Tensor};
use peft_model::Transformer;
use peft_models::{CausalLm, LanguageModel};
use peft_prefix::{PrefixConfig, PrefixInit, Prefixed};
use peft_store::{
    AdapterConfig, AdapterDir, AdapterFileError, AdapterInfo, Checkpoint, TaskType, save_prefix,
};
use peft_tests::tolerance::GOLDEN_LOGITS;
use peft_tests::{Tensors, read_tensors};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::encoder_adapters::{assert_near, base, flat, goldens, ints};
use crate::fixture::{assert_same, params, trained};

peft_tests::cases!(
    what_is_saved_is_what_is_read,
    prefixes_of_peft_are_read_and_written,
    what_does_not_fit_is_refused,
);

const NAME: &str = "default";
const TENSORS: &str = "adapter_model.safetensors";
const ENCODER: &str = "prefix_encoder.safetensors";

fn gqa(device: &Device) -> Prefixed<LanguageModel> {
    let loaded = Checkpoint::open(goldens().join("models/gqa"))
        .and_then(|checkpoint| checkpoint.load(device, DType::F32));
    Prefixed::new(loaded.expect("it loads"))
}

fn save<M: Transformer>(model: &Prefixed<M>, config: &AdapterConfig) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let about = AdapterInfo::new().with_task(TaskType::CausalLm);
    save_prefix(model, NAME, config, &about, dir.path()).expect("it saves");
    dir
}

fn what_is_saved_is_what_is_read(device: &Device) {
    let plain = PrefixConfig::new(3);
    let text = plain.clone().with_init(PrefixInit::Tokens(vec![5, 2]));
    let projected = plain.clone().with_projection(7);
    let headed = projected.clone().with_whole_modules(["model.norm"]);
    for config in [plain, text, projected, headed] {
        let config = AdapterConfig::Prefix(config);
        let mut model = gqa(device);
        config.attach_prefix(&mut model, NAME).expect("it attaches");
        let dir = save(&model, &config);
        let mut again = gqa(device);
        let adapter = AdapterDir::open(dir.path()).expect("it opens");
        adapter
            .attach_prefix(&mut again, NAME)
            .expect("it attaches");
        assert_eq!(params(&again), params(&model));
        assert_eq!(trained(&again), trained(&model));
        let AdapterConfig::Prefix(wanted) = &config else {
            panic!("a prefix");
        };
        assert_eq!(
            dir.path().join(ENCODER).exists(),
            wanted.projection.is_some()
        );
        // Without the file of ours it acts the same, and the keys and values train by themselves.
        let _ = fs::remove_file(dir.path().join(ENCODER));
        let mut bare = gqa(device);
        adapter.attach_prefix(&mut bare, NAME).expect("it attaches");
        let flat = |model: &Prefixed<LanguageModel>| model.input.as_ref().expect("a prefix").flat();
        assert_same(&flat(&bare), &flat(&model));
        assert!(bare.input.expect("a prefix").projection.is_none());
    }
}

fn prefixes_of_peft_are_read_and_written(device: &Device) {
    let mut seen = 0;
    let mut dirs: Vec<_> = fs::read_dir(goldens().join("prefixes"))
        .expect("goldens")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    dirs.sort();
    for dir in dirs {
        println!("{}", dir.display());
        let expected = read_tensors(&dir.join("expected.safetensors"));
        let name = fs::read_to_string(dir.join("base.txt")).expect("a base");
        let (name, copy) = (name.trim(), base(&dir));
        let labels = expected["logits"].0.last().copied().unwrap_or_default();
        let open = |at: &Path| Checkpoint::open(at).expect("it opens");
        if !name.contains("encoders/") {
            let model = open(&goldens().join("models").join(name)).load(device, DType::F32);
            let logits = |model: &Prefixed<LanguageModel>, ids, segments| {
                model.logits(model.hidden(ids, segments, None))
            };
            check(model.expect("it loads"), &dir, &expected, device, logits);
        } else if name.ends_with("token") {
            continue; // Its head is read as those of texts are.
        } else {
            let loaded = open(copy.path()).load_classifier(labels, device, DType::F32);
            let logits = |model: &Prefixed<_>, ids, segments| {
                peft_model::SequenceClassifier::classify(model, ids, segments).unsqueeze_dim(1)
            };
            check(
                loaded.expect("it loads").model,
                &dir,
                &expected,
                device,
                logits,
            );
        }
        seen += 1;
    }
    assert!(seen >= 18, "only {seen} prefixes");
    peft_tests::Invariant::Files.verified("prefix tuning", device);
}

fn check<M: Transformer>(
    model: M,
    dir: &Path,
    expected: &Tensors,
    device: &Device,
    logits: impl Fn(
        &Prefixed<M>,
        Tensor<2, burn::tensor::Int>,
        Option<Tensor<2, burn::tensor::Int>>,
    ) -> Tensor<3>,
) {
    let adapter = AdapterDir::open(dir).expect("it opens");
    let mut model = Prefixed::new(model);
    adapter
        .attach_prefix(&mut model, NAME)
        .unwrap_or_else(|error| panic!("{error}"));
    let mask = ints(expected, "attention_mask", device);
    let found = logits(
        &model,
        ints(expected, "input_ids", device),
        Some(mask.ones_like() - mask.clone()),
    );
    let (shape, wanted) = &expected["logits"];
    // What stands at padding is nobody's to compare.
    let width = shape[shape.len() - 1];
    let kept: Vec<f64> = match shape.len() {
        2 => vec![1.0; wanted.len()],
        _ => flat(&mask.float())
            .iter()
            .flat_map(|on| vec![*on; width])
            .collect(),
    };
    let shown = |values: &[f64]| -> Vec<f64> {
        values
            .iter()
            .zip(&kept)
            .map(|(value, on)| value * on)
            .collect()
    };
    let what = dir.display().to_string();
    assert_near(
        &what,
        &shown(&flat(&found)),
        &shown(wanted),
        GOLDEN_LOGITS,
        1.0,
    );

    // Without a projection the file is the same to the bit; its config says the same.
    let out = save(&model, adapter.config());
    let tensors = |dir: &Path| read_tensors(&dir.join(TENSORS));
    assert_eq!(tensors(out.path()), tensors(dir), "{what}");
    let fields = |dir: &Path| -> Map<String, Value> {
        let text = fs::read_to_string(dir.join("adapter_config.json")).expect("a config");
        serde_json::from_str(&text).expect("an object")
    };
    let (ours, theirs) = (fields(out.path()), fields(dir));
    assert_eq!(
        ours.keys().collect::<Vec<_>>(),
        theirs.keys().collect::<Vec<_>>()
    );
    for field in [
        "num_layers",
        "token_dim",
        "num_attention_heads",
        "num_virtual_tokens",
        "prefix_projection",
    ] {
        assert_eq!(ours[field], theirs[field], "{what}: {field}");
    }
}

fn what_does_not_fit_is_refused(device: &Device) {
    let config = AdapterConfig::Prefix(PrefixConfig::new(3).with_projection(7));
    let mut model = gqa(device);
    config.attach_prefix(&mut model, NAME).expect("it attaches");
    let edited = |field: &str, value: Value| {
        let dir = save(&model, &config);
        let path = dir.path().join("adapter_config.json");
        let text = fs::read_to_string(&path).expect("a config");
        let mut fields: Map<String, Value> = serde_json::from_str(&text).expect("an object");
        fields.insert(field.into(), value);
        fs::write(path, json!(fields).to_string()).expect("it is written");
        dir
    };
    let refused = |dir: &TempDir| {
        let mut model = gqa(device);
        let before = params(&model);
        let attached =
            AdapterDir::open(dir.path()).and_then(|dir| dir.attach_prefix(&mut model, NAME));
        assert_eq!(params(&model), before);
        attached.expect_err("it is refused").to_string()
    };
    for (field, value) in [
        ("num_virtual_tokens", json!(0)),
        ("num_virtual_tokens", json!(4)),
        ("encoder_hidden_size", json!(8)),
        ("encoder_hidden_size", json!(0)),
        ("encoder_hidden_size", json!(-1)),
        ("encoder_hidden_size", json!(1_000_000_000)),
        ("encoder_hidden_size", json!(u64::MAX)),
        ("encoder_hidden_size", Value::Null),
        ("num_transformer_submodules", json!(0)),
        ("num_transformer_submodules", json!(2)),
        ("prefix_projection", json!("yes")),
    ] {
        let error = refused(&edited(field, value.clone()));
        let named = [field, "prompt_embeddings", "transform.0.weight"];
        assert!(
            named.iter().any(|name| error.contains(name)),
            "{field} {value}: {error}"
        );
    }
    // The two files must be of one prefix.
    let other = {
        let mut other = gqa(device);
        config.attach_prefix(&mut other, NAME).expect("it attaches");
        save(&other, &config)
    };
    let dir = save(&model, &config);
    fs::copy(other.path().join(ENCODER), dir.path().join(ENCODER)).expect("it is copied");
    assert!(refused(&dir).contains(ENCODER));
    fs::write(dir.path().join(ENCODER), "no tensors").expect("it is written");
    assert!(refused(&dir).contains(ENCODER));

    // A prefix is no adapter of weights, and the other way round.
    let dir = save(&model, &config);
    let attached = AdapterDir::open(dir.path())
        .and_then(|dir| dir.attach(&mut gqa(device), NAME, peft_core::ForwardPath::Factored));
    let error: AdapterFileError = attached.expect_err("it is refused");
    assert!(error.to_string().contains("attach_prefix"), "{error}");
    let lora = AdapterDir::open(goldens().join("adapters/lora_attn")).expect("it opens");
    let error = lora
        .attach_prefix(&mut gqa(device), NAME)
        .expect_err("it is refused");
    assert!(error.to_string().contains("weights"), "{error}");
}
