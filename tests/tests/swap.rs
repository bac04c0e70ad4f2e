//! Values swapped under a model in use: read from files under another name, and put in the place of
//! those that act.

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};
use peft_core::{
    ForwardPath, PeftError, Placed, Targets, adapter_names, detach, replace, set_active,
};
use peft_lora::LoraConfig;
use peft_models::{CausalLm, LanguageModel, Transformer};
use peft_store::{AdapterConfig, AdapterDir, AdapterInfo, Checkpoint, save_adapter};

use crate::fixture::{assert_differs, assert_same, filled_adapters, ids, params, slot_state};

peft_tests::cases!(a_swap_equals_a_fresh_load, unlike_ones_are_refused);

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("goldens")
        .join(name)
}

fn base(device: &Device) -> LanguageModel {
    Checkpoint::open(golden("models/gqa"))
        .and_then(|checkpoint| checkpoint.load(device, DType::F32))
        .expect("the base loads")
}

fn load(model: &mut LanguageModel, dir: impl AsRef<Path>, name: &str) {
    AdapterDir::open(dir)
        .and_then(|dir| dir.attach(model, name, ForwardPath::Factored))
        .expect("it attaches");
}

fn logits(model: &LanguageModel) -> Tensor<3> {
    let ids = ids(&model.devices()[0]);
    model.logits(model.hidden(ids, None, None))
}

/// Of another rank and scale too: the outputs, the activity and the file are those of a model that
/// loaded it in the first place.
fn a_swap_equals_a_fresh_load(device: &Device) {
    let config = LoraConfig::new(7, 5.0).with_targets(Targets::suffixes(["q_proj", "v_proj"]));
    let mut other = base(device);
    config.attach(&mut other, "default").expect("it attaches");
    let dir = tempfile::tempdir().expect("a directory");
    let config = AdapterConfig::Lora(config);
    save_adapter(
        &filled_adapters(other),
        "default",
        &config,
        &AdapterInfo::new(),
        &dir,
    )
    .expect("it is written");

    let active = [("beside", 0.5), ("default", 1.25)];
    let loaded = |dir: &Path| {
        let mut model = base(device);
        load(&mut model, dir, "default");
        load(&mut model, golden("adapters/lora_rslora"), "beside");
        set_active(&mut model, &active).expect("both exist");
        model
    };
    let expected = loaded(dir.path());
    let mut model = loaded(&golden("adapters/lora_attn"));
    assert_differs(&logits(&model), &logits(&expected));
    let before = logits(&model);
    for _ in 0..2 {
        load(&mut model, dir.path(), "incoming");
        assert_same(&logits(&model), &before); // it waits
        replace(&mut model, "default", "incoming").expect("they are alike");
        assert_same(&logits(&model), &logits(&expected));
        assert_eq!(slot_state(&model), slot_state(&expected));
        assert_eq!(params(&model), params(&expected));
        // And back.
        load(&mut model, golden("adapters/lora_attn"), "incoming");
        replace(&mut model, "default", "incoming").expect("they are alike");
        assert_same(&logits(&model), &before);
    }
}

fn unlike_ones_are_refused(device: &Device) {
    let mut model = base(device);
    load(&mut model, golden("adapters/lora_attn"), "default");
    for (dir, expected) in [
        (
            "ia3_default",
            "model.layers.0.self_attn.v_proj.weight: lora and ia3",
        ),
        (
            "lora_patterns",
            "model.layers.1.mlp.down_proj.weight: only incoming",
        ),
        (
            "lora_layers",
            "model.layers.0.self_attn.q_proj.weight: only default",
        ),
        ("lora_modules_to_save", "lm_head.weight: only incoming"),
    ] {
        load(&mut model, golden("adapters").join(dir), "incoming");
        let before = (slot_state(&model), params(&model));
        match replace(&mut model, "default", "incoming") {
            Err(PeftError::UnlikeAdapters { places, .. }) => {
                assert!(places.contains(&expected.to_owned()), "{dir}: {places:?}");
            }
            found => panic!("{dir}: {found:?}"),
        }
        assert_eq!((slot_state(&model), params(&model)), before, "{dir}");
        detach(&mut model, "incoming").expect("it exists");
        assert_eq!(adapter_names(&model), ["default"]);
    }
}
