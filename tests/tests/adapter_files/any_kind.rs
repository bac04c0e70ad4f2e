//! Directories of every kind, opened, attached and saved by whoever does not know the kind.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use burn::tensor::{Device, Tensor};
use peft_models::{CausalLm, LanguageModel, Transformer};
use peft_store::{
    Adaptable, AdapterFileError, AdapterInfo, SavedAdapter, TrainedConfig, TrainedFormat,
    adaptable, base_digest, save_own, save_trained,
};
use serde_json::json;
use tempfile::TempDir;

use super::own::GainConfig;
use super::{base, golden};
use crate::fixture::{assert_differs, assert_same, filled, filled_adapters, ids};

peft_tests::cases!(
    each_kind_is_attached_and_saved,
    a_method_of_ones_own_is_asked_for
);

/// Two layer norms of another model.
fn norms(device: &Device) -> TempDir {
    let other = filled(base("gqa", device));
    let paths = ["model.norm.weight", "model.layers.0.input_layernorm.weight"];
    let paths: BTreeSet<String> = paths.map(str::to_owned).into();
    let dir = tempfile::tempdir().expect("a directory");
    let config = TrainedConfig {
        format: TrainedFormat::Own {
            method: json!({ "norms": 2 }),
            base_digest: base_digest(&base("gqa", device), &paths),
        },
        base: Some("gqa".into()),
        task_type: None,
    };
    save_trained(&other, &paths, &config, dir.path()).expect("it is written");
    dir
}

fn gains(device: &Device) -> TempDir {
    let mut model = base("gqa", device);
    GainConfig::new().attach(&mut model, "a").expect("attached");
    let model = filled_adapters(model);
    let dir = tempfile::tempdir().expect("a directory");
    let (config, about) = (GainConfig::new(), AdapterInfo::new().with_base("gqa"));
    save_own(&model, "a", "gain", &config, &about, dir.path()).expect("it saves");
    dir
}

fn attached(
    dir: &Path,
    device: &Device,
) -> Result<(Adaptable<LanguageModel>, peft_store::AttachedAdapter), AdapterFileError> {
    let mut model = adaptable(base("gqa", device));
    let saved = SavedAdapter::open(dir)?;
    let attached = saved.attach_with(&mut model, "default", |own, model, name| {
        Ok(own.settings::<GainConfig>()?.attach(model, name)?)
    })?;
    Ok((model, attached))
}

fn logits(model: &Adaptable<LanguageModel>, device: &Device) -> Tensor<3> {
    model.logits(model.hidden(ids(device), None, None))
}

fn each_kind_is_attached_and_saved(device: &Device) {
    let (norms, gains) = (norms(device), gains(device));
    let without = logits(&adaptable(base("gqa", device)), device);
    for dir in [
        &golden("adapters/lora_modules_to_save"),
        &golden("adapters/ia3_default"),
        &golden("prompts/llama_prompt_tuning"),
        &golden("prompts/llama_mlp"),
        &golden("prefixes/llama"),
        norms.path(),
        gains.path(),
    ] {
        let name = dir.display();
        let (model, first) =
            attached(dir, device).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_differs(&logits(&model, device), &without);
        let out = tempfile::tempdir().expect("a directory");
        let [one, two] = ["one", "two"].map(|name| out.path().join(name));
        first.save(&model, &one).expect("it saves");
        let (again, second) =
            attached(&one, device).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_same(&logits(&again, device), &logits(&model, device));
        second.save(&again, &two).expect("it saves");
        for file in fs::read_dir(&one).expect("a directory") {
            let file = file.expect("a file").file_name();
            let [a, b] = [&one, &two].map(|dir| fs::read(dir.join(&file)).expect("read"));
            assert!(a == b, "{name}: {}", file.display());
        }
    }
}

fn a_method_of_ones_own_is_asked_for(device: &Device) {
    let dir = gains(device);
    let saved = SavedAdapter::open(dir.path()).expect("it opens");
    assert_eq!(saved.method(), "gain");
    assert_eq!(saved.base(), Some("gqa"));
    let mut model = adaptable(base("gqa", device));
    let error = saved.attach(&mut model, "default").expect_err("unknown");
    assert!(error.to_string().contains("`OwnDir`"), "{error}");
    assert!(peft_core::slots(&model).is_empty());
}
