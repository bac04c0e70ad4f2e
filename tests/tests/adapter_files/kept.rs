//! What survives being read and written, in whatever form it was.

use std::fs;
use std::path::Path;

use burn::tensor::Device;
use peft_core::{ForwardPath, Names, Placed, Targets};
use peft_ia3::Ia3Config;
use peft_lora::LoraConfig;
use peft_store::{AdapterConfig, AdapterInfo, save_adapter};
use safetensors::SafeTensors;
use serde_json::{Map, Value, json};

use super::{CONFIG, TENSORS, attach, base, copied, edit, fields, golden, logits};
use crate::fixture::{assert_differs, assert_same, filled_adapters, params};

peft_tests::cases!(
    keys_may_have_other_forms,
    fields_survive,
    what_a_model_has_not_is_passed_over,
    a_layer_inside_a_module_to_save_is_no_target,
    ia3_says_which_layers_it_is_on,
);

/// Write the tensors of a directory again, each under the key that `change` gives.
fn rename(dir: &Path, change: impl Fn(&str) -> String) {
    let path = dir.join(TENSORS);
    let bytes = fs::read(&path).expect("tensors");
    let sound = SafeTensors::deserialize(&bytes).expect("sound");
    let tensors = sound.tensors().into_iter();
    let tensors: Vec<_> = tensors.map(|(key, view)| (change(&key), view)).collect();
    safetensors::serialize_to_file(tensors, None, &path).expect("it is written");
}

fn keys_may_have_other_forms(device: &Device) {
    let named = |key: &str| key.replace(".weight", ".default.weight");
    let bare = |key: &str| key.replace("base_model.model.", "");
    let wrapped = |key: &str| format!("module.{key}");
    let mut expected = base("gqa", device);
    attach(&golden("adapters/lora_attn"), &mut expected).expect("it attaches");
    let forms: [&dyn Fn(&str) -> String; 3] = [&named, &bare, &wrapped];
    for change in forms {
        let dir = copied("lora_attn");
        rename(dir.path(), change);
        let mut model = base("gqa", device);
        attach(dir.path(), &mut model).unwrap_or_else(|error| panic!("{error}"));
        assert_same(&logits(&model), &logits(&expected));
    }
    let dir = copied("lora_attn");
    rename(dir.path(), |key| key.replace("lora_A", "lora_C"));
    let error = attach(dir.path(), &mut base("gqa", device)).expect_err("another name");
    assert!(error.to_string().contains("lora_C"), "{error}");
}

/// What PEFT wrote is what is written again, and so is what no release of it knows.
fn fields_survive(device: &Device) {
    for (name, model) in [
        ("lora_attn", "gqa"),
        ("lora_rslora", "gqa"),
        ("lora_patterns", "gqa"),
        ("lora_layers", "gqa"),
        ("lora_regex", "gqa"),
        ("lora_exclude", "gqa"),
        ("lora_modules_to_save", "gqa"),
        ("lora_bias_only", "biased"),
        ("ia3_default", "gqa"),
    ] {
        let dir = copied(name);
        let new = json!({"of_a_later_release": {"b": [1, 2.5], "a": null}, "revision": "main"});
        edit(dir.path(), new);
        let mut model = base(model, device);
        let adapter = attach(dir.path(), &mut model).expect("it attaches");
        let out = tempfile::tempdir().expect("a directory");
        let written = out.path().join("new/run");
        save_adapter(
            &model,
            "default",
            adapter.config(),
            &AdapterInfo::of(&adapter),
            &written,
        )
        .expect("it saves");
        assert_eq!(json!(fields(&written)), json!(fields(dir.path())), "{name}");
        // Nothing that was written beside is left.
        let mut files: Vec<_> = fs::read_dir(&written)
            .expect("a directory")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        files.sort();
        assert_eq!(files, [CONFIG, TENSORS]);
    }
}

fn what_a_model_has_not_is_passed_over(device: &Device) {
    for (name, changes) in [
        (
            "lora_attn",
            json!({"target_modules": ["q_proj", "c_attn", "v_proj"], "exclude_modules": ["wte"],
                   "rank_pattern": {"c_attn": 2}, "alpha_pattern": {"c_attn": 3},
                   "modules_to_save": ["score"], "layers_to_transform": []}),
        ),
        (
            "ia3_default",
            json!({"target_modules": ["k_proj", "v_proj", "down_proj", "wo"], "feedforward_modules": ["down_proj", "wo"]}),
        ),
    ] {
        let mut expected = base("gqa", device);
        attach(&golden("adapters").join(name), &mut expected).expect("it attaches");
        let dir = copied(name);
        edit(dir.path(), changes);
        let mut model = base("gqa", device);
        attach(dir.path(), &mut model).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_same(&logits(&model), &logits(&expected));
    }
    let dir = copied("lora_attn");
    edit(dir.path(), json!({"target_modules": ["c_attn"]}));
    let error = attach(dir.path(), &mut base("gqa", device)).expect_err("nothing is left");
    let said = "target `c_attn` matches nothing in this model";
    assert!(error.to_string().starts_with(said), "{error}");
}

/// Attach, fill, save, and load into a fresh base: the fields of the file, which gives the same
/// logits.
fn reloaded(config: &AdapterConfig, device: &Device) -> Map<String, Value> {
    let mut model = base("gqa", device);
    config.attach(&mut model, "default").expect("it attaches");
    let model = filled_adapters(model);
    assert_differs(&logits(&model), &logits(&base("gqa", device)));
    let dir = tempfile::tempdir().expect("a directory");
    save_adapter(&model, "default", config, &AdapterInfo::new(), dir.path()).expect("it saves");
    let mut again = base("gqa", device);
    attach(dir.path(), &mut again).unwrap_or_else(|error| panic!("{error}"));
    assert_same(&logits(&again), &logits(&model));
    assert_eq!(params(&again), params(&model));
    // What the caller does not say is not guessed.
    assert_eq!(fields(dir.path())["task_type"], Value::Null);
    fields(dir.path())
}

fn a_layer_inside_a_module_to_save_is_no_target(device: &Device) {
    let regex = Names::Regex(r".*\.o_proj|lm_head".into());
    for (module, targets) in [
        (
            "0.mlp.up_proj",
            Targets::all_linear().excluding(["lm_head"]),
        ),
        ("1.mlp", Targets::all_linear().excluding_names(regex)),
    ] {
        let lora = LoraConfig::new(2, 3.0)
            .with_targets(targets)
            .with_whole_modules([module])
            .with_path(ForwardPath::Factored);
        let fields = reloaded(&AdapterConfig::Lora(lora), device);
        assert_eq!(fields["modules_to_save"], json!([module]));
    }
}

fn ia3_says_which_layers_it_is_on(device: &Device) {
    let ia3 = |targets: Targets, feedforward: &str| {
        let config = Ia3Config::new(targets)
            .with_feedforward(Names::suffixes([feedforward]))
            .with_path(ForwardPath::Factored);
        reloaded(&AdapterConfig::Ia3(config), device)
    };
    let targets = || Targets::suffixes(["k_proj", "mlp.down_proj"]);
    let plain = ia3(targets(), "mlp.down_proj");
    assert_eq!(plain["target_modules"], json!(["k_proj", "mlp.down_proj"]));
    assert_eq!(plain["feedforward_modules"], json!(["mlp.down_proj"]));
    // IA3's file has no layer indices.
    let last = ia3(targets().last(1), "down_proj");
    let down = "model.layers.1.mlp.down_proj";
    let paths = json!([down, "model.layers.1.self_attn.k_proj"]);
    assert_eq!(last["target_modules"], paths);
    assert_eq!(last["feedforward_modules"], json!([down]));
    // PEFT wants the feed-forward modules among the targets, letter by letter.
    let other = ia3(targets(), "down_proj");
    let listed = |field: &str| other[field].as_array().expect("a list").clone();
    let targets = listed("target_modules");
    assert_eq!(listed("feedforward_modules").len(), 2);
    assert!(
        listed("feedforward_modules")
            .iter()
            .all(|module| targets.contains(module))
    );
}
