//! Adapters combined, as PEFT's `add_weighted_adapter` combines them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use peft_core::{ForwardPath, LayerKind};
use peft_lora::{Combination, Lora, MajoritySign, Part, Rule};
use peft_models::{CausalLm, Transformer};
use peft_store::{AdapterDir, AdapterFileError, Checkpoint, LoraLayer, LoraLayers};
use peft_tests::read_tensors;
use peft_tests::tolerance::GOLDEN_LOGITS;
use serde_json::Value;

peft_tests::cases!(
    combinations_equal_peft,
    layers_are_read_and_written_as_they_are,
    what_is_not_plain_lora_is_named,
);

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens")
}

fn layers(adapter: &str, device: &Device) -> Result<LoraLayers, AdapterFileError> {
    let dir = AdapterDir::open(goldens().join("adapters").join(adapter)).expect("it opens");
    LoraLayers::read(&dir, device)
}

/// The combination that a golden asks for.
fn asked(of: &Value) -> Combination {
    let how = of["how"].as_str().expect("a name");
    let density = of["density"].as_f64().unwrap_or(1.0);
    let seed = of["seed"].as_u64().expect("a seed");
    let sign = match of["majority_sign_method"].as_str() {
        Some("frequency") => MajoritySign::Frequency,
        _ => MajoritySign::Total,
    };
    let rule = match how.trim_end_matches("_svd") {
        "cat" => return Combination::Cat,
        "linear" | "svd" => Rule::Sum,
        "magnitude_prune" => Rule::MagnitudePrune { density },
        "ties" => Rule::Ties { density, sign },
        "dare_linear" => Rule::DareLinear { density, seed },
        "dare_ties" => Rule::DareTies {
            density,
            seed,
            sign,
        },
        other => panic!("{other}"),
    };
    match how.ends_with("svd") {
        true => {
            let rank = of["svd_rank"].as_u64().map(|rank| rank as usize);
            let largest = if of["base"] == "gpt2" { 3 } else { 4 };
            Combination::Deltas {
                rule,
                rank: rank.unwrap_or(largest),
            }
        }
        false => Combination::Factors(rule),
    }
}

/// All layers that one of them has.
fn combined(all: &[(LoraLayers, f64)], how: Combination) -> BTreeMap<String, LoraLayer> {
    let paths: BTreeSet<&String> = all.iter().flat_map(|(of, _)| of.layers.keys()).collect();
    let each = paths.into_iter().map(|path| {
        let on = all
            .iter()
            .filter_map(|(of, weight)| of.layers.get(path).zip(Some(*weight)));
        let kind = on.clone().next().expect("a layer").0.kind;
        let parts: Vec<Part> = on
            .map(|(of, weight)| {
                let [a, b] = of.lora.acting();
                Part {
                    a,
                    b,
                    scale: of.lora.scale(),
                    weight,
                }
            })
            .collect();
        let found = how.of(path, &parts).expect("it combines");
        let lora = Lora::new(found.a, found.b, 1.0, 0.0);
        (path.clone(), LoraLayer { kind, lora })
    });
    each.collect()
}

/// Apart by no more than this part of the largest.
fn near(what: &str, found: &[f64], expected: &[f64], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    for (found, expected) in found.iter().zip(expected) {
        let apart = (found - expected).abs();
        let most = f64::from(tolerance) * largest;
        assert!(apart <= most, "{what}: {found}, expected {expected}");
    }
}

fn combinations_equal_peft(device: &Device) {
    let mut names: Vec<PathBuf> = std::fs::read_dir(goldens().join("combined"))
        .expect("goldens")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    names.sort();
    assert!(names.len() >= 14, "{names:?}");
    for golden in names {
        let name = golden.display();
        let text = std::fs::read_to_string(golden.join("asked.json")).expect("a golden");
        let of: Value = serde_json::from_str(&text).expect("JSON");
        let parts = of["parts"].as_array().expect("parts").iter();
        let all: Vec<(LoraLayers, f64)> = parts
            .map(|part| {
                let adapter = part[0].as_str().expect("a name");
                let weight = part[1].as_f64().expect("a weight");
                (layers(adapter, device).expect("it is read"), weight)
            })
            .collect();
        let found = combined(&all, asked(&of));
        let expected = read_tensors(&golden.join("expected.safetensors"));
        let deltas = expected
            .iter()
            .filter_map(|(key, value)| key.strip_prefix("delta.").map(|layer| (layer, value)));
        let mut compared = 0;
        for (layer, (_, values)) in deltas {
            let delta = found[layer].lora.delta().into_data();
            let delta: Vec<f64> = delta.iter::<f64>().collect();
            near(&format!("{name} {layer}"), &delta, values, GOLDEN_LOGITS);
            compared += 1;
        }
        assert!(compared >= 2, "{name}");

        let others: Vec<&LoraLayers> = all[1..].iter().map(|(of, _)| of).collect();
        let written = tempfile::tempdir().expect("a directory");
        let written = written.path().join("combined");
        all[0]
            .0
            .with_layers(found, &others)
            .expect("of one base")
            .save(&written)
            .expect("it is written");
        let base = goldens()
            .join("models")
            .join(of["base"].as_str().expect("a base"));
        let mut model = Checkpoint::open(base)
            .and_then(|base| base.load(device, DType::F32))
            .expect("the base loads");
        let dir = AdapterDir::open(&written).expect("it opens");
        dir.attach(&mut model, "all", ForwardPath::Factored)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let (shape, ids) = &expected["input_ids"];
        let ids: Vec<i32> = ids.iter().map(|id| *id as i32).collect();
        let ids = TensorData::new(ids, [shape[0], shape[1]]);
        let ids = Tensor::<2, Int>::from_data(ids, device);
        let logits = model.logits(model.hidden(ids, None, None)).into_data();
        let logits: Vec<f64> = logits.iter::<f64>().collect();
        near(
            &format!("{name}"),
            &logits,
            &expected["logits"].1,
            GOLDEN_LOGITS,
        );
    }
}

fn layers_are_read_and_written_as_they_are(device: &Device) {
    for (adapter, kinds) in [
        ("lora_patterns", [4, 0]),
        ("lora_embedding", [2, 1]),
        ("lora_rslora", [4, 0]),
        ("gpt2_lora_attn", [4, 0]),
    ] {
        let read = layers(adapter, device).expect("it is read");
        let count = |kind| read.layers.values().filter(|of| of.kind == kind).count();
        assert_eq!(
            [count(LayerKind::Linear), count(LayerKind::Embedding)],
            kinds,
            "{adapter}"
        );
        let written = tempfile::tempdir().expect("a directory");
        read.save(written.path()).expect("it is written");
        let again = AdapterDir::open(written.path()).expect("it opens");
        let again = LoraLayers::read(&again, device).expect("it is read");
        assert_eq!(again.layers.len(), read.layers.len());
        for (path, of) in &read.layers {
            let again = &again.layers[path];
            assert_eq!(
                of.lora.scale() as f32,
                again.lora.scale() as f32,
                "{adapter} {path}"
            );
            for (a, b) in of.lora.acting().into_iter().zip(again.lora.acting()) {
                assert_eq!(a.into_data(), b.into_data(), "{adapter} {path}");
            }
        }
    }
}

fn what_is_not_plain_lora_is_named(device: &Device) {
    for (adapter, part) in [
        ("dora_attn", "use_dora"),
        ("lora_b_bias", "lora_bias"),
        ("lora_bias_all", "biases of the base"),
        ("lora_modules_to_save", "modules_to_save"),
        ("ia3_default", "method ia3"),
    ] {
        let error = layers(adapter, device)
            .expect_err("it is refused")
            .to_string();
        assert!(error.contains(part), "{adapter}: {error}");
    }
    // Each has an embedding of the base, and they are not the same.
    let both = ["lora_saved_embedding", "lora_embedding"];
    let [one, other] = both.map(|name| layers(name, device).expect("it is read"));
    let error = one.with_layers(BTreeMap::new(), &[&other]).map(|_| ());
    assert!(
        matches!(error, Err(AdapterFileError::UnlikeBases { .. })),
        "{error:?}"
    );
}
