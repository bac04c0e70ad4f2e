//! Checkpoint directories, written and read.

use std::fs;
use std::path::Path;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, Tensor};
use peft_models::{
    CausalLm, DecoderConfig, DecoderForCausalLm, DecoderMlp, LanguageModelConfig, ProjectionBias,
    RopeConfig, RopeScaling, Transformer,
};
use peft_store::{
    Checkpoint, CheckpointConfig, CheckpointError, Companions, checkpoint_config,
    fresh_config_json, write_checkpoint,
};
use peft_tests::tolerance::PATHS;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::{assert_close, ids, params, spread, tiny};
use crate::fixture::filled_adapters;

peft_tests::cases!(
    a_written_model_reads_back_bit_for_bit,
    half_precision_rounds_once,
    adapters_are_not_written,
    shards_equal_one_file,
    keys_under_a_wrapper_are_those_of_the_model,
    a_stored_head_that_differs_is_not_tied,
    a_loaded_model_trains_as_a_fresh_one,
);

/// `model` as a directory.
pub(super) fn written(model: &DecoderForCausalLm, dtype: DType) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let fields = fresh(model.config());
    write_checkpoint(model, &fields, None, dtype, dir.path()).expect("it can be written");
    dir
}

pub(super) fn edit_config(dir: &Path, edit: impl FnOnce(&mut Map<String, Value>)) {
    let path = dir.join("config.json");
    let text = fs::read(&path).expect("config.json");
    let mut fields = serde_json::from_slice(&text).expect("an object");
    edit(&mut fields);
    fs::write(&path, serde_json::to_vec(&fields).expect("JSON")).expect("it can be written");
}

fn load(dir: &Path, device: &Device) -> DecoderForCausalLm {
    super::load(dir, device).expect("it loads")
}

/// The config of a Llama with these fields.
fn read(fields: &Map<String, Value>) -> Result<DecoderConfig, CheckpointError> {
    match checkpoint_config(fields)? {
        CheckpointConfig::LanguageModel(LanguageModelConfig::Decoder(config)) => Ok(config),
        other => panic!("{other:?}"),
    }
}

fn fresh(config: &DecoderConfig) -> Map<String, Value> {
    fresh_config_json(config).expect("it is a Llama")
}

fn a_written_model_reads_back_bit_for_bit(device: &Device) {
    for (biased, tied) in [(true, false), (false, true)] {
        let config = DecoderConfig {
            attention_bias: match biased {
                true => ProjectionBias::All,
                false => ProjectionBias::None,
            },
            mlp_bias: biased,
            tie_word_embeddings: tied,
            ..tiny()
        };
        let model = spread(&config, device);
        let source = tempfile::tempdir().expect("a temporary directory");
        fs::write(source.path().join("tokenizer.json"), "{}").expect("it can be written");
        let dir = tempfile::tempdir().expect("a temporary directory");
        let fields = fresh(&config);
        let out = dir.path().join("new");
        write_checkpoint(
            &model,
            &fields,
            Some(&Companions::of(source.path(), None)),
            DType::F32,
            &out,
        )
        .expect("it can be written");
        let mut names: Vec<String> = fs::read_dir(&out)
            .expect("the directory")
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .into_string()
                    .expect("UTF-8")
            })
            .collect();
        names.sort();
        assert_eq!(
            names,
            ["config.json", "model.safetensors", "tokenizer.json"]
        );

        let checkpoint = Checkpoint::open(&out).expect("it opens");
        assert_eq!(
            checkpoint.config(),
            &CheckpointConfig::LanguageModel(LanguageModelConfig::Decoder(config.clone()))
        );
        assert_eq!(checkpoint.dtype().expect("weights"), DType::F32);
        let loaded = load(&out, device);
        assert_eq!(params(&loaded), params(&model));
        let ids = ids(2, 5, 23, device);
        let logits =
            |model: &DecoderForCausalLm| model.logits(model.hidden(ids.clone(), None, None));
        assert_close(&logits(&loaded), &logits(&model), 0.0);
    }
}

fn half_precision_rounds_once(device: &Device) {
    let model = spread(&tiny(), device);
    for (dtype, name) in [(DType::BF16, "bfloat16"), (DType::F16, "float16")] {
        let dir = written(&model, dtype);
        let checkpoint = Checkpoint::open(dir.path()).expect("it opens");
        assert_eq!(checkpoint.fields()["dtype"], json!(name));
        assert_eq!(checkpoint.dtype().expect("weights"), dtype);
        let loaded = params(&load(dir.path(), device));
        for ((path, data), (_, original)) in loaded.into_iter().zip(params(&model)) {
            let rounded = original.convert_dtype(dtype).convert_dtype(DType::F32);
            assert_eq!(data, rounded, "`{path}`");
        }
    }
}

fn adapters_are_not_written(device: &Device) {
    let model = spread(&tiny(), device);
    let mut adapted = model.clone();
    peft_lora::LoraConfig::new(2, 6.0)
        .attach(&mut adapted, "default")
        .expect("it can be adapted");
    let dir = written(&filled_adapters(adapted), DType::F32);
    assert_eq!(params(&load(dir.path(), device)), params(&model));
}

fn shards_equal_one_file(device: &Device) {
    let model = spread(&tiny(), device);
    let dir = written(&model, DType::F32);
    let single = dir.path().join("model.safetensors");
    let bytes = fs::read(&single).expect("the weights");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("sound");
    let mut shards = [Vec::new(), Vec::new()];
    let mut map = Map::new();
    for (i, (key, view)) in tensors.tensors().into_iter().enumerate() {
        let name = format!("model-{:05}-of-00002.safetensors", i % 2 + 1);
        map.insert(key.clone(), name.into());
        shards[i % 2].push((key, view));
    }
    for (i, shard) in shards.into_iter().enumerate() {
        let path = dir
            .path()
            .join(format!("model-{:05}-of-00002.safetensors", i + 1));
        safetensors::serialize_to_file(shard, None, &path).expect("it can be written");
    }
    fs::remove_file(&single).expect("it is there");
    let index = json!({"metadata": {}, "weight_map": map}).to_string();
    // As Python writes what it does not know.
    let index = index.replace("\"metadata\":{}", "\"metadata\":{\"total_size\":NaN}");
    assert!(index.contains("NaN"));
    fs::write(dir.path().join("model.safetensors.index.json"), index).expect("it can be written");
    assert_eq!(params(&load(dir.path(), device)), params(&model));

    // One file beside them is taken, and the index is not asked: `_get_resolved_checkpoint_files`
    // of transformers.
    let other = spread(&tiny(), device).map(&mut Doubled);
    let newer = written(&other, DType::F32);
    fs::copy(newer.path().join("model.safetensors"), &single).expect("it can be copied");
    assert_eq!(params(&load(dir.path(), device)), params(&other));
    assert_ne!(params(&other), params(&model));
}

fn keys_under_a_wrapper_are_those_of_the_model(device: &Device) {
    let model = spread(&tiny(), device);
    let dir = written(&model, DType::F32);
    let path = dir.path().join("model.safetensors");
    let bytes = fs::read(&path).expect("the weights");
    let sound = safetensors::SafeTensors::deserialize(&bytes).expect("sound");
    for wrapper in [
        "module.",
        "_orig_mod.",
        "base_model.model.",
        "module._orig_mod.",
    ] {
        let wrapped = |(key, view)| (format!("{wrapper}{key}"), view);
        let tensors: Vec<_> = sound.tensors().into_iter().map(wrapped).collect();
        safetensors::serialize_to_file(tensors, None, &path).expect("it can be written");
        assert_eq!(
            params(&load(dir.path(), device)),
            params(&model),
            "{wrapper}"
        );
    }
    // One tensor that is not under it is not of the same model: nothing is guessed.
    let tensors = sound.tensors().into_iter().enumerate();
    let tensors: Vec<_> = tensors
        .map(|(i, (key, view))| (if i == 0 { key } else { format!("module.{key}") }, view))
        .collect();
    safetensors::serialize_to_file(tensors, None, &path).expect("it can be written");
    let checkpoint = Checkpoint::open(dir.path()).expect("the config is sound");
    let error = checkpoint.load(device, DType::F32).expect_err("mixed");
    assert!(matches!(error, CheckpointError::Tensors { .. }), "{error}");
}

struct Doubled;

impl ModuleMapper for Doubled {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| tensor.mul_scalar(2.0))
    }
}

fn a_stored_head_that_differs_is_not_tied(device: &Device) {
    let model = spread(&tiny(), device);
    let dir = written(&model, DType::F32);
    edit_config(dir.path(), |fields| {
        fields["tie_word_embeddings"] = true.into();
    });
    let loaded = load(dir.path(), device);
    assert!(!loaded.config().tie_word_embeddings);
    assert_eq!(params(&loaded), params(&model));

    // One that is the embedding is.
    let tied = DecoderConfig {
        tie_word_embeddings: true,
        ..tiny()
    };
    let model = spread(&tied, device).untie();
    let dir = written(&model, DType::F32);
    edit_config(dir.path(), |fields| {
        fields["tie_word_embeddings"] = true.into();
    });
    let loaded = load(dir.path(), device);
    assert!(loaded.lm_head.is_none());
    let hidden = Tensor::<3>::ones([1, 2, 12], device);
    assert_close(&loaded.logits(hidden.clone()), &model.logits(hidden), PATHS);
}

fn a_loaded_model_trains_as_a_fresh_one(device: &Device) {
    let device = device.clone().autodiff();
    let dir = written(&spread(&tiny(), &device), DType::F32);
    let loaded = load(dir.path(), &device);
    let DecoderMlp::Split(mlp) = &loaded.model.layers[1].mlp else {
        panic!("the projections are one matrix");
    };
    let weight = mlp.down_proj.weight.base();
    assert!(weight.is_require_grad());
    let logits = loaded.logits(loaded.hidden(ids(1, 4, 23, &device), None, None));
    let grads = logits.powi_scalar(2).mean().backward();
    assert!(weight.grad(&grads).is_some());
}

#[test]
fn both_spellings_of_the_rotary_settings() {
    let llama3 = json!({"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16});
    let with = |mut object: Value, key: &str, value: Value| {
        object[key] = value;
        object
    };
    let rope = |extra: Value| {
        let mut fields = fresh(&tiny());
        fields.remove("rope_parameters");
        fields.extend(extra.as_object().expect("an object").clone());
        read(&fields).expect("it is supported").rope
    };
    let scaling = RopeScaling::Llama3 {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_positions: 16,
    };
    let theta = 5e5;
    let expected = RopeConfig::new(theta).with_scaling(scaling);
    for (name, outer, inner) in [
        ("rope_scaling", true, "rope_type"),
        ("rope_scaling", true, "type"),
        ("rope_parameters", false, "rope_type"),
    ] {
        let settings = with(llama3.clone(), inner, "llama3".into());
        let fields = match outer {
            true => json!({"rope_theta": theta, name: settings}),
            false => json!({name: with(settings, "rope_theta", theta.into())}),
        };
        assert_eq!(rope(fields), expected);
    }
    assert_eq!(rope(json!({})), RopeConfig::new(10_000.0));
    assert_eq!(
        rope(json!({"rope_theta": theta, "rope_scaling": null})),
        RopeConfig::new(theta)
    );
    let linear = json!({"rope_scaling": {"type": "linear", "factor": 4.0}});
    assert_eq!(rope(linear).scaling, RopeScaling::Linear { factor: 4.0 });
}

#[test]
fn a_fresh_config_reads_back() {
    for scaling in [
        RopeScaling::Default,
        RopeScaling::Linear { factor: 2.5 },
        RopeScaling::Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_positions: 16,
        },
    ] {
        let mut config = tiny();
        config.rope.scaling = scaling;
        assert_eq!(read(&fresh(&config)).expect("it is supported"), config);
    }
}

#[test]
fn what_is_not_supported_is_named() {
    for (field, value, shown) in [
        ("model_type", json!("falcon"), "supported: llama, mistral"),
        ("hidden_act", json!("xielu"), "supported: gelu, gelu_10"),
        ("quantization_config", json!({"bits": 4}), "bits"),
        (
            "rope_scaling",
            json!({"rope_type": "linear", "factor": 2.0, "partial_rotary_factor": 0.5}),
            "supported: 1",
        ),
        ("model_type", json!("lama"), "`llama` is most like it"),
        (
            "rope_scaling",
            json!({"rope_type": "proportional", "factor": 2.0}),
            "default, linear, dynamic, llama3",
        ),
        (
            "rope_scaling",
            json!({"rope_type": "linear"}),
            "rope_scaling.factor",
        ),
        (
            "rope_scaling",
            json!({"full_attention": {"factor": 2.0}}),
            "full_attention",
        ),
        ("rope_scaling", json!(7), "rope_scaling"),
        ("hidden_size", json!("wide"), "hidden_size"),
        ("tie_word_embeddings", json!(1), "tie_word_embeddings"),
    ] {
        let mut fields = fresh(&tiny());
        fields.insert(field.into(), value);
        let error = read(&fields).expect_err(field).to_string();
        assert!(error.contains(field) && error.contains(shown), "{error}");
    }
}

#[test]
fn sizes_that_make_no_model_are_named() {
    for (field, value) in [
        ("num_attention_heads", json!(0)),
        ("num_key_value_heads", json!(0)),
        ("num_key_value_heads", json!(3)),
        ("head_dim", json!(5)),
        ("vocab_size", json!(1u64 << 40)),
        ("hidden_size", json!(1u64 << 40)),
    ] {
        let mut fields = fresh(&tiny());
        fields.insert(field.into(), value);
        match read(&fields) {
            Err(CheckpointError::Config { field: named, .. }) => assert_eq!(named, field),
            other => panic!("{field}: {other:?}"),
        }
    }
}
