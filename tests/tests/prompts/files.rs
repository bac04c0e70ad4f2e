//! Directories of prompts: what is saved is what is read, and what does not fit is refused by name.

use std::fs;
use std::path::Path;

use burn::module::Module;
use burn::tensor::{DType, Device};
use peft_core::{ForwardPath, PeftError, Summary};
use peft_models::{DecoderForCausalLm, LanguageModel, Transformer};
use peft_ptuning::{PromptEncoderConfig, PromptInit, PromptTuningConfig, Prompted};
use peft_store::{
    AdapterConfig, AdapterDir, AdapterFileError, AdapterInfo, Checkpoint, TaskType, TensorProblem,
    save_adapter, save_prompt, write_checkpoint,
};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::{N, NAME, VOCABULARY, encoded, p_tuning, plain, prompted};
use peft_tests::read_tensors as read;

use crate::encoder_adapters::goldens;
use crate::fixture::{assert_same, params, trained};
use crate::models::ids;
use crate::training::bits;

peft_tests::cases!(
    what_is_saved_is_what_is_read,
    a_dropping_encoder_is_saved_whole,
    vectors_that_do_not_fit_are_named,
    fields_that_cannot_be_are_named,
    sizes_are_compared_with_the_file_before_anything_is_made,
    tensors_are_all_there_and_no_others,
    an_encoder_of_other_vectors_is_refused,
    each_kind_has_its_place,
);

const CONFIG: &str = "adapter_config.json";
const VECTORS: &str = "adapter_model.safetensors";
const ENCODER: &str = "prompt_encoder.safetensors";
const EMBEDDINGS: &str = "prompt_embeddings";

fn save(model: &Prompted<DecoderForCausalLm>, config: &AdapterConfig) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let about = AdapterInfo::new().with_task(TaskType::CausalLm);
    save_prompt(model, NAME, config, &about, dir.path()).expect("it saves");
    dir
}

fn what_is_saved_is_what_is_read(device: &Device) {
    let drawn = |encoder| {
        let config = p_tuning(encoder).with_whole_modules(["model.norm"]);
        let config = AdapterConfig::PTuning(config);
        let mut model = plain(device);
        let attached = config.attach_prompt(&mut model, NAME);
        attached.expect("it attaches");
        (model, config)
    };
    let tokens = PromptInit::Tokens(vec![3, 1]);
    let tuning = PromptTuningConfig::new(N).with_init(tokens);
    let three = PromptEncoderConfig::Lstm {
        n_layers: 3,
        dropout: 0.0,
    };
    for (model, config) in [
        (prompted(device), AdapterConfig::PromptTuning(tuning)),
        drawn(PromptEncoderConfig::Mlp),
        drawn(three),
    ] {
        let dir = save(&model, &config);
        let adapter = AdapterDir::open(dir.path()).expect("it opens");
        let mut again = plain(device);
        let report = adapter.attach_prompt(&mut again, NAME);
        let report = report.expect("it attaches");
        assert_eq!(report.method, config.method());
        assert_eq!(report.summary, Summary::of(&model));
        assert!(bits(&again) == bits(&model));
        assert_eq!(trained(&again), trained(&model));
        let text = ids(2, 5, VOCABULARY, device);
        let read = |model: &Prompted<_>| model.valid().hidden(text.clone(), None, None);
        assert_same(&read(&again), &read(&model));
        // Saved again, it is the same files.
        let second = save(&again, adapter.config());
        for file in [CONFIG, VECTORS, ENCODER] {
            let bytes = |dir: &TempDir| fs::read(dir.path().join(file)).ok();
            assert!(bytes(&dir) == bytes(&second), "{file}");
        }
    }
}

fn a_dropping_encoder_is_saved_whole(device: &Device) {
    let encoder = PromptEncoderConfig::Lstm {
        n_layers: 2,
        dropout: 0.5,
    };
    let model = encoded(encoder, device);
    let config = AdapterConfig::PTuning(p_tuning(encoder));
    let dir = save(&model, &config);
    let adapter = AdapterDir::open(dir.path()).expect("it opens");
    assert_eq!(*adapter.config(), config);
    let mut again = plain(device);
    adapter
        .attach_prompt(&mut again, NAME)
        .expect("it attaches");
    assert!(bits(&again) == bits(&model));
    let found = &read(&dir.path().join(VECTORS))[EMBEDDINGS].1;
    let prompt = model.valid().input.expect("a prompt");
    let vectors = prompt.vectors().into_data();
    assert!(found.iter().copied().eq(vectors.iter::<f64>()));
}

/// A copy of a golden.
fn copied(name: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for file in [CONFIG, VECTORS, ENCODER] {
        let from = goldens().join("prompts").join(name).join(file);
        if from.exists() {
            fs::copy(from, dir.path().join(file)).expect("it is copied");
        }
    }
    dir
}

/// A copy of a golden with another value in its config.
fn edited(name: &str, field: &str, value: Value) -> TempDir {
    let dir = copied(name);
    let path = dir.path().join(CONFIG);
    let text = fs::read_to_string(&path).expect("a config");
    let mut fields: Map<String, Value> = serde_json::from_str(&text).expect("an object");
    fields.insert(field.into(), value);
    fs::write(path, json!(fields).to_string()).expect("it is written");
    dir
}

/// Write a file of tensors anew with this one in its place.
fn put(path: &Path, key: &str, dtype: Dtype, shape: &[usize], bytes: &[u8]) {
    let old = fs::read(path).expect("a file");
    let old = SafeTensors::deserialize(&old).expect("sound");
    let mut tensors: Vec<(String, TensorView<'_>)> = old.tensors();
    tensors.retain(|(known, _)| known != key);
    let view = TensorView::new(dtype, shape.to_vec(), bytes).expect("it fits");
    tensors.push((key.into(), view));
    let bytes = safetensors::serialize(tensors, None).expect("sound");
    fs::write(path, bytes).expect("it is written");
}

fn base(device: &Device) -> Prompted<LanguageModel> {
    let dir = goldens().join("models/gqa");
    let loaded = Checkpoint::open(dir).and_then(|checkpoint| checkpoint.load(device, DType::F32));
    Prompted::new(loaded.expect("it loads"))
}

/// Why the directory's prompt is refused; the model is then as it was.
fn refused(dir: &TempDir, device: &Device) -> AdapterFileError {
    let mut model = base(device);
    let before = params(&model);
    let attached = AdapterDir::open(dir.path()).and_then(|dir| dir.attach_prompt(&mut model, NAME));
    assert_eq!(params(&model), before);
    attached.expect_err("it is refused")
}

#[track_caller]
fn assert_problem(error: &AdapterFileError, file: &str, wanted: &TensorProblem) {
    let AdapterFileError::Tensors { path, problems } = error else {
        panic!("{error}");
    };
    assert!(path.ends_with(file), "{}", path.display());
    assert!(problems.contains(wanted), "{problems:?}");
}

fn vectors_that_do_not_fit_are_named(device: &Device) {
    let zeros = [0u8; 8 * 4 * 33];
    let nan = f32::NAN.to_le_bytes().repeat(4 * 32);
    let key = || EMBEDDINGS.to_owned();
    let shaped = |found: [usize; 2]| TensorProblem::Shape {
        key: key(),
        expected: vec![4, 32],
        found: found.to_vec(),
    };
    let typed = TensorProblem::Dtype {
        key: key(),
        found: "I64".into(),
    };
    let poisoned = TensorProblem::NotFinite { key: key() };
    for (dtype, shape, bytes, problem) in [
        (Dtype::F32, [4, 33], &zeros[..4 * 4 * 33], shaped([4, 33])),
        (Dtype::F32, [3, 32], &zeros[..4 * 3 * 32], shaped([3, 32])),
        (Dtype::I64, [4, 32], &zeros[..8 * 4 * 32], typed),
        (Dtype::F32, [4, 32], &nan, poisoned),
    ] {
        let dir = copied("llama_mlp");
        put(&dir.path().join(VECTORS), EMBEDDINGS, dtype, &shape, bytes);
        assert_problem(&refused(&dir, device), VECTORS, &problem);
    }
}

fn fields_that_cannot_be_are_named(device: &Device) {
    for (field, value) in [
        ("num_virtual_tokens", json!(0)),
        ("num_virtual_tokens", json!("4")),
        ("num_virtual_tokens", Value::Null),
        ("num_transformer_submodules", json!("1")),
        ("encoder_reparameterization_type", json!("GRU")),
        ("encoder_hidden_size", json!(0)),
        ("encoder_hidden_size", json!(-8)),
        ("encoder_num_layers", json!(1_000_000_000_000_000u64)),
        ("encoder_dropout", json!(1.5)),
    ] {
        let error = refused(&edited("llama_lstm", field, value), device);
        let named =
            matches!(&error, AdapterFileError::Field { field: found, .. } if found == field);
        assert!(named, "{error}");
    }
    let two = edited("llama_mlp", "num_transformer_submodules", json!(2));
    let error = refused(&two, device).to_string();
    assert!(
        error.contains("`num_transformer_submodules` is 2"),
        "{error}"
    );
    let init = edited("llama_prompt_tuning", "prompt_tuning_init", json!("ZEROS"));
    let error = refused(&init, device).to_string();
    assert!(
        error.contains("`prompt_tuning_init` is \"ZEROS\""),
        "{error}"
    );
    let long = edited("llama_prompt_tuning", "num_virtual_tokens", json!(64));
    put(
        &long.path().join(VECTORS),
        EMBEDDINGS,
        Dtype::F32,
        &[64, 32],
        &[0; 64 * 32 * 4],
    );
    let error = refused(&long, device).to_string();
    assert!(error.contains("64, of the model's 64 positions"), "{error}");
}

fn sizes_are_compared_with_the_file_before_anything_is_made(device: &Device) {
    for kind in ["llama_mlp", "llama_lstm"] {
        for hidden in [1_000_000_000, u64::MAX / 2, u64::MAX] {
            let wide = edited(kind, "encoder_hidden_size", json!(hidden));
            let error = refused(&wide, device);
            assert!(matches!(error, AdapterFileError::Tensors { .. }), "{error}");
        }
    }
    let deep = edited("llama_lstm", "encoder_num_layers", json!(3));
    let missing = TensorProblem::Missing {
        key: "lstm_head.weight_hh_l2_reverse".into(),
        nearest: None,
    };
    assert_problem(&refused(&deep, device), ENCODER, &missing);
    let many = edited("llama_prompt_tuning", "num_virtual_tokens", json!(u64::MAX));
    let error = refused(&many, device);
    assert!(matches!(error, AdapterFileError::Tensors { .. }), "{error}");
}

fn tensors_are_all_there_and_no_others(device: &Device) {
    for file in [VECTORS, ENCODER] {
        let dir = copied("llama_mlp");
        put(&dir.path().join(file), "more", Dtype::F32, &[1], &[0; 4]);
        let more = TensorProblem::Unexpected { key: "more".into() };
        assert_problem(&refused(&dir, device), file, &more);
        // No prefix of a file is one.
        let bytes = fs::read(dir.path().join(file)).expect("a file");
        for end in [0, 7, 100, bytes.len() / 2, bytes.len() - 1] {
            fs::write(dir.path().join(file), &bytes[..end]).expect("it is written");
            let error = refused(&dir, device);
            let torn = matches!(error, AdapterFileError::Safetensors { .. });
            assert!(torn, "{error}");
        }
    }
    let dir = copied("llama_mlp");
    let nan = f32::NAN.to_le_bytes().repeat(10);
    put(
        &dir.path().join(ENCODER),
        "mlp_head.0.bias",
        Dtype::F32,
        &[10],
        &nan,
    );
    let key = "mlp_head.0.bias".to_owned();
    let poisoned = TensorProblem::NotFinite { key };
    assert_problem(&refused(&dir, device), ENCODER, &poisoned);
    // A head that the model has and the file has not.
    let head = edited("llama_mlp", "modules_to_save", json!(["lm_head"]));
    let missing = TensorProblem::Missing {
        key: "base_model.lm_head.weight".into(),
        nearest: None,
    };
    assert_problem(&refused(&head, device), VECTORS, &missing);
}

fn an_encoder_of_other_vectors_is_refused(device: &Device) {
    let dir = copied("llama_mlp");
    let path = dir.path().join(VECTORS);
    let old: Vec<f32> = read(&path)[EMBEDDINGS]
        .1
        .iter()
        .map(|v| *v as f32)
        .collect();
    let write = |factor: f32| {
        let values = old.iter().flat_map(|v| (v * factor).to_le_bytes());
        let bytes: Vec<u8> = values.collect();
        put(&path, EMBEDDINGS, Dtype::F32, &[4, 32], &bytes);
    };
    write(1.001);
    let error = refused(&dir, device);
    let differs = matches!(error, AdapterFileError::EncoderDiffers { .. });
    assert!(differs && error.to_string().contains(ENCODER), "{error}");
    write(1.00001);
    let adapter = AdapterDir::open(dir.path()).expect("it opens");
    let attached = || adapter.attach_prompt(&mut base(device), NAME);
    attached().expect("it attaches");
    // Rounded to bf16 since, it is still the same prompt.
    let rounded = old.iter().map(|v| (v.to_bits() >> 16) as u16);
    let bytes: Vec<u8> = rounded.flat_map(u16::to_le_bytes).collect();
    put(&path, EMBEDDINGS, Dtype::BF16, &[4, 32], &bytes);
    attached().expect("it attaches");
}

fn each_kind_has_its_place(device: &Device) {
    #[track_caller]
    fn elsewhere<T>(result: Result<T, AdapterFileError>, said: &str) {
        let error = result.err().expect("it is refused");
        let kind = matches!(
            error,
            AdapterFileError::Attach(PeftError::AttachesElsewhere { .. })
        );
        assert!(kind && error.to_string().contains(said), "{error}");
    }
    let dir = copied("llama_mlp");
    let prompt = AdapterDir::open(dir.path()).expect("it opens");
    let attached = prompt.attach(&mut base(device), NAME, ForwardPath::Factored);
    elsewhere(attached, "p-tuning attaches to what a model reads");
    let weights = AdapterDir::open(goldens().join("adapters/lora_attn")).expect("it opens");
    let attached = weights.attach_prompt(&mut base(device), NAME);
    elsewhere(attached, "lora attaches to a model's weights");
    let about = AdapterInfo::new().with_task(TaskType::CausalLm);
    let out = tempfile::tempdir().expect("a directory");
    let (model, out) = (base(device), out.path());
    let saved = save_adapter(&model, NAME, prompt.config(), &about, out);
    elsewhere(saved, "`save_prompt`");
    let saved = save_prompt(&model, NAME, weights.config(), &about, out);
    assert!(saved.is_err());
    let saved = save_prompt(&model, NAME, prompt.config(), &about, out);
    let nothing = matches!(saved, Err(AdapterFileError::Attach(PeftError::NoAdapter)));
    assert!(nothing);
    // PEFT would leave the vectors out.
    let untold = save_prompt(
        &prompted(device),
        NAME,
        prompt.config(),
        &AdapterInfo::new(),
        out,
    );
    let untold = untold.expect_err("no task is said");
    assert!(
        matches!(untold, AdapterFileError::NoTask { .. }),
        "{untold}"
    );
    let tuning = AdapterConfig::PromptTuning(PromptTuningConfig::new(N));
    let made = encoded(PromptEncoderConfig::Mlp, device);
    let saved = save_prompt(&made, NAME, &tuning, &about, out);
    assert!(saved.is_err_and(|error| error.to_string().contains("must be P-Tuning")));
    // The fields say what the prompt is, whatever the config says.
    let other = AdapterConfig::PTuning(p_tuning(PromptEncoderConfig::LSTM).with_hidden(7));
    let dir = save(&made, &other);
    let adapter = AdapterDir::open(dir.path()).expect("it opens");
    let expected = AdapterConfig::PTuning(p_tuning(PromptEncoderConfig::Mlp));
    assert_eq!(*adapter.config(), expected);
    // A checkpoint of a model with a prompt is one of the model.
    let model = prompted(device).valid();
    write_checkpoint(&model, &Map::new(), None, DType::F32, out).expect("it is written");
    let tensors = read(&out.join("model.safetensors"));
    assert!(tensors.keys().all(|key| !key.contains("prompt")) && !tensors.is_empty());
}
