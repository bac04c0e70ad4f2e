//! Adapter directories of language models, and directories of trained parameters.

use std::collections::BTreeSet;
use std::path::Path;

use burn::tensor::{DType, Device};
use peft_model::Transformer;
use peft_models::LanguageModel;
use peft_mutate::Kind;
use peft_store::{
    AdapterFileError, Checkpoint, SavedAdapter, TrainedConfig, TrainedDir, TrainedFormat,
    adaptable, base_digest, save_trained,
};
use serde_json::json;

use super::{files, goldens};

pub(super) const FILES: [&str; 4] = [
    "adapter_config.json",
    "adapter_model.safetensors",
    "prompt_encoder.safetensors",
    "prefix_encoder.safetensors",
];

/// Adapters of each method, and the models that they are for.
const ADAPTERS: [(&str, &str); 30] = [
    ("adapters/lora_all_linear", "biased"),
    ("adapters/lora_modules_to_save", "gqa"),
    ("adapters/lora_patterns", "gqa"),
    ("adapters/lora_regex", "gqa"),
    ("adapters/gemma2_lora_embedding", "gemma2"),
    ("adapters/dora_rslora", "gqa"),
    ("adapters/lora_b_bias", "biased"),
    ("adapters/adalora_ranks", "biased"),
    ("adapters/loha_all_linear", "biased"),
    ("adapters/lokr_both", "gqa"),
    ("adapters/vera_attn", "gqa"),
    ("adapters/randlora_all_linear", "biased"),
    ("adapters/vblora_attn", "gqa"),
    ("adapters/vblora_top_k", "gqa"),
    ("adapters/oft_exact", "biased"),
    ("adapters/boft_butterfly", "gqa"),
    ("adapters/hra_attn", "gqa"),
    ("adapters/road_4", "biased"),
    ("adapters/miss_mini", "biased"),
    ("adapters/hira_all_linear", "biased"),
    ("adapters/delora_all_linear", "biased"),
    ("adapters/gralora_hybrid", "biased"),
    ("adapters/shira_attn", "gqa"),
    ("adapters/fourierft_all_linear", "biased"),
    ("adapters/c3a_attn", "gqa"),
    ("adapters/waveft_all_linear", "biased"),
    ("adapters/ia3_default", "gqa"),
    ("prompts/llama_prompt_tuning", "gqa"),
    ("prompts/llama_mlp", "gqa"),
    ("prefixes/llama", "gqa"),
];

pub(super) fn base(name: &str, device: &Device) -> LanguageModel {
    Checkpoint::open(goldens().join("models").join(name))
        .and_then(|checkpoint| checkpoint.load(device, DType::F32))
        .expect("the base loads")
}

/// Adapter directories of each method for language models, opened and attached.
pub fn adapters(device: &Device) -> Kind<'static> {
    let sound = ADAPTERS.map(|(dir, _)| files(&goldens().join(dir), &FILES));
    let bases = ADAPTERS.map(|(_, model)| base(model, device));
    Kind::new("adapter", sound.into(), move |dir, of| {
        used(dir, bases[of].clone()).is_ok()
    })
}

pub(super) fn used<M: Transformer>(dir: &Path, model: M) -> Result<(), AdapterFileError> {
    let adapter = SavedAdapter::open(dir)?;
    adapter.tensor_shapes()?;
    adapter.attach(&mut adaptable(model), "default")?;
    Ok(())
}

/// Directories of parameters that were trained, in our format and in PEFT's of layer norms.
pub fn trained(device: &Device) -> Kind<'static> {
    let model = base("gqa", device);
    let norms = ["model.norm.weight", "model.layers.0.input_layernorm.weight"];
    let paths: BTreeSet<String> = norms.map(str::to_owned).into();
    let formats = [
        TrainedFormat::Own {
            method: json!({ "norms": 2 }),
            base_digest: base_digest(&model, &paths),
        },
        TrainedFormat::LnTuning {
            modules_to_save: Vec::new(),
        },
    ];
    let sound = formats.map(|format| {
        let dir = tempfile::tempdir().expect("a directory");
        let config = TrainedConfig {
            format,
            base: Some("a-model".into()),
            task_type: None,
        };
        save_trained(&model, &paths, &config, dir.path()).expect("it is written");
        files(dir.path(), &FILES)
    });
    Kind::new("trained parameters", sound.into(), move |dir, _| {
        let Ok(Some(found)) = TrainedDir::open(dir) else {
            return false;
        };
        found.shapes().is_ok() && found.attach(&mut model.clone()).is_ok()
    })
}
