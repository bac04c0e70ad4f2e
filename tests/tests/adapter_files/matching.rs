//! The layers that a config's expressions, lists of layers and names before their index choose,
//! against PEFT's (`tests/goldens/make_matching.py`).

use std::collections::BTreeSet;
use std::fs;

use burn::tensor::Device;
use peft_core::{ForwardPath, Placed, Targets, layers};
use peft_lora::LoraConfig;
use peft_models::LanguageModel;
use peft_store::{AdapterConfig, AdapterDir, AdapterInfo, Checkpoint, save_adapter};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, Value, json};

use super::{CONFIG, TENSORS, attach, base, copied, edit, fields, golden, logits};

peft_tests::cases!(
    lists_of_layers_choose_what_pefts_do,
    expressions_choose_what_pefts_do,
    a_list_that_is_missing_finds_the_layers,
);

fn expected() -> Value {
    let text = fs::read_to_string(golden("matching.json")).expect("the golden");
    serde_json::from_str(&text).expect("JSON")
}

fn model(expected: &Value, name: &str, device: &Device) -> LanguageModel {
    let dir = tempfile::tempdir().expect("a directory");
    let config = expected["configs"][name].to_string();
    fs::write(dir.path().join("config.json"), config).expect("it is written");
    let drawn = Checkpoint::open(dir.path()).and_then(|checkpoint| checkpoint.draw(device));
    drawn.expect("a model")
}

fn names(value: &Value) -> BTreeSet<String> {
    let names = value.as_array().expect("a list").iter();
    names
        .map(|name| name.as_str().expect("a name").to_owned())
        .collect()
}

#[test]
fn the_index_behind_an_expression_is_the_one_that_peft_finds() {
    let expected = expected();
    let cases = expected["indices"].as_array().expect("cases");
    assert!(cases.len() >= 60);
    for case in cases {
        let targets = Targets::all_linear().indexed_after(names_in_order(&case["patterns"]));
        let path = case["path"].as_str().expect("a path");
        let index = targets.layer_index(path).map(|index| index as u64);
        assert_eq!(index, case["index"].as_u64(), "{case}");
    }
}

fn names_in_order(value: &Value) -> Vec<String> {
    serde_json::from_value(value.clone()).expect("names")
}

/// A directory of zeros for these layers.
fn directory(
    model: &LanguageModel,
    fields: &Value,
    adapted: &BTreeSet<String>,
) -> tempfile::TempDir {
    let mut config = Map::from_iter([
        ("peft_type".to_owned(), json!("LORA")),
        ("r".to_owned(), json!(1)),
        ("lora_alpha".to_owned(), json!(8)),
    ]);
    config.extend(fields.as_object().expect("fields").clone());
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join(CONFIG), json!(config).to_string()).expect("it is written");
    let zeros = vec![0_u8; 1 << 16];
    let mut tensors = Vec::new();
    for layer in layers(model) {
        if !adapted.contains(&layer.path) {
            continue;
        }
        let [d_in, d_out] = layer.shape;
        for (name, shape) in [("lora_A", vec![1, d_in]), ("lora_B", vec![d_out, 1])] {
            let bytes = &zeros[..4 * shape.iter().product::<usize>()];
            let view = TensorView::new(Dtype::F32, shape, bytes).expect("a tensor");
            tensors.push((
                format!("base_model.model.{}.{name}.weight", layer.path),
                view,
            ));
        }
    }
    let path = dir.path().join(TENSORS);
    safetensors::serialize_to_file(tensors, None, &path).expect("it is written");
    dir
}

fn lists_of_layers_choose_what_pefts_do(device: &Device) {
    let expected = expected();
    for case in expected["lists"].as_array().expect("cases") {
        let mut model = model(&expected, case["model"].as_str().expect("a name"), device);
        let adapted = names(&case["matched"]);
        let dir = directory(&model, &case["fields"], &adapted);
        let attached = attach(dir.path(), &mut model);
        if adapted.is_empty() {
            let error = attached.expect_err("nothing is chosen").to_string();
            assert!(!error.contains("missing"), "{case}: {error}");
            continue;
        }
        // Each tensor has its place and each place its tensor.
        let adapter = attached.unwrap_or_else(|error| panic!("{case}: {error}"));
        let AdapterConfig::Lora(config) = adapter.config() else {
            panic!("no LoRA");
        };
        // What is written chooses the same, its expressions in their order.
        let out = tempfile::tempdir().expect("a directory");
        save_adapter(
            &model,
            "default",
            adapter.config(),
            &AdapterInfo::new(),
            out.path(),
        )
        .expect("it saves");
        let again = super::fields(out.path());
        let given = &case["fields"]["layers_pattern"];
        let given: Vec<String> = match given.as_str() {
            Some(one) => vec![one.into()],
            None => serde_json::from_value(given.clone()).unwrap_or_default(),
        };
        match config.placement.targets.index_after().is_empty() {
            true => assert_eq!(again["layers_pattern"], Value::Null, "{case}"),
            false => assert_eq!(again["layers_pattern"], json!(given), "{case}"),
        }
    }
}

fn expressions_choose_what_pefts_do(device: &Device) {
    let expected = expected();
    for (source, matched) in expected["expressions"].as_object().expect("cases") {
        let mut model = model(&expected, "llama", device);
        let config = LoraConfig::new(1, 1.0).with_targets(Targets::regex(source));
        let found = match config.attach(&mut model, "a") {
            Ok(report) => report.layers.into_iter().map(|layer| layer.path).collect(),
            Err(_) => BTreeSet::new(),
        };
        assert_eq!(found, names(matched), "{source}");
    }
}

/// What a config without lists is read as for each family is what PEFT's tables say.
#[test]
fn lists_that_are_missing_are_those_of_the_family() {
    let text = fs::read_to_string(golden("default_targets.json")).expect("goldens");
    let tables: Value = serde_json::from_str(&text).expect("JSON");
    let mut read = 0;
    for (method, adapter) in [("LORA", "lora_attn"), ("IA3", "ia3_default")] {
        for (family, lists) in tables[method].as_object().expect("families") {
            let dir = copied(adapter);
            edit(
                dir.path(),
                json!({"target_modules": null, "feedforward_modules": null}),
            );
            let refused = AdapterDir::open(dir.path()).expect_err("no base");
            assert!(refused.to_string().contains("open_for"), "{refused}");
            let found = AdapterDir::open_for(dir.path(), family);
            if lists["target_modules"].is_null() {
                let error = found.expect_err("PEFT asks for them").to_string();
                assert!(error.contains("target_modules"), "{error}");
                continue;
            }
            let fields = found.expect("it opens").fields().clone();
            for (field, names) in lists.as_object().expect("lists") {
                assert_eq!(&fields[field], names, "{method} on {family}");
            }
            read += 1;
        }
    }
    assert_eq!(read, 19);
}

fn a_list_that_is_missing_finds_the_layers(device: &Device) {
    for name in ["lora_attn", "ia3_default"] {
        let dir = copied(name);
        let mut config = fields(dir.path());
        config.remove("target_modules");
        fs::write(dir.path().join(CONFIG), json!(config).to_string()).expect("it is written");
        let mut models = [base("gqa", device), base("gqa", device)];
        attach(&golden("adapters").join(name), &mut models[0]).expect("it attaches");
        let adapter = AdapterDir::open_for(dir.path(), "llama").expect("it opens");
        adapter
            .attach(&mut models[1], "default", ForwardPath::Factored)
            .expect("it attaches");
        let [a, b] = models.map(|model| logits(&model).into_data());
        assert_eq!(a, b, "{name}");
    }
}
