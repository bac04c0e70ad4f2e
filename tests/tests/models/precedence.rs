//! Configs and directories that say one thing in two places: what is taken is what transformers
//! takes, by `tests/goldens/make_precedence.py`.

use std::fs;
use std::path::Path;

use burn::tensor::{DType, Device, Int, Tensor};
use peft_models::{CausalLm, LanguageModel, Transformer};
use peft_store::{Checkpoint, CheckpointError};
use peft_tests::tolerance::GOLDEN_LOGITS;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, Value};

peft_tests::cases!(configs_that_say_it_twice, directories_that_say_it_twice);

/// What this reads although transformers does not, because it says one thing only.
const LENIENT: [&str; 15] = [
    // Null where transformers wants a value: the field's default.
    "llama/activation_null",
    "llama/bias_null",
    "llama/epsilon_null",
    "llama/rope_theta_null",
    "llama/tie_null",
    "mistral/kv_heads_null",
    "mistral/layer_types_without_head_dim",
    "qwen3/head_dim_null",
    "gemma2/activation_null",
    "gemma2/head_dim_null",
    "gemma3_text/pattern_null",
    "modernbert/local_theta_null",
    // The older name of the two that say the kind of scaling.
    "llama/scaling_rope_type_null",
    "phi3/longrope_su",
    // Nothing of a Llama is in there.
    "llama/text_config_beside",
];

fn configs_that_say_it_twice(device: &Device) {
    let goldens = goldens();
    let tables = goldens["tensors"].as_array().expect("tables");
    let ids: Vec<i64> = serde_json::from_value(goldens["ids"].clone()).expect("ids");
    let ids = Tensor::<1, Int>::from_data(ids.as_slice(), device).unsqueeze::<2>();
    let cases = goldens["configs"].as_array().expect("cases");
    assert!(cases.len() > 100, "{}", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        let name = case["name"].as_str().expect("a name");
        let dir = tempfile::tempdir().expect("a temporary directory");
        let config = case["config"].to_string();
        fs::write(dir.path().join("config.json"), config).expect("it can be written");
        let table = case["tensors"].as_u64().unwrap_or(0) as usize;
        write(dir.path(), tables[table].as_object().expect("shapes"));
        let found = last_state(dir.path(), case["encoder"] == true, ids.clone(), device);
        match (found, case["out"].as_array()) {
            (Err(_), None) => {}
            (Err(error), Some(_)) => wrong.push(format!("{name}: {error}: {error:?}")),
            (Ok(_), None) if LENIENT.contains(&name) => {}
            (Ok(_), None) => wrong.push(format!("{name} is read: {}", case["raises"])),
            (Ok(found), Some(expected)) => {
                let expected = expected.iter().map(|v| v.as_f64().expect("a number"));
                let far = found.iter().zip(expected).any(|(found, expected)| {
                    (f64::from(*found) - expected).abs() > f64::from(GOLDEN_LOGITS)
                });
                if far {
                    wrong.push(format!("{name}: {found:?}, expected {}", case["out"]));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A key in two shards with other values is the one thing that transformers reads and this does
/// not: which is meant, nothing says.
fn directories_that_say_it_twice(device: &Device) {
    let goldens = goldens();
    let shapes = goldens["tensors"][0].as_object().expect("a Llama's");
    let cases = goldens["directories"].as_array().expect("cases");
    assert!(cases.len() > 15, "{}", cases.len());
    for case in cases {
        let name = case["name"].as_str().expect("a name");
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = |file: &str| dir.path().join(file);
        let llama = &goldens["configs"][0]["config"];
        let mut config = llama.as_object().expect("an object").clone();
        config.remove("rope_theta");
        if let Some(named) = case.get("weights") {
            config.insert("transformers_weights".into(), named.clone());
        }
        let json = Value::from(config).to_string();
        fs::write(path("config.json"), json).expect("it can be written");
        for (file, holds) in case["files"].as_object().expect("files") {
            write_part(&path(file), shapes, holds.as_str().expect("parts"));
        }
        if let Some(parts) = case.get("index") {
            let extra = parts.get("x").map(|file| ("model.extra.weight", file));
            let map = shapes.keys().map(|key| (key.as_str(), &parts[part(key)]));
            let map: Map<String, Value> = map
                .chain(extra)
                .map(|(key, file)| (key.into(), file.clone()))
                .collect();
            let file = case["index_name"].as_str();
            let file = file.unwrap_or("model.safetensors.index.json");
            let json = serde_json::json!({ "metadata": {}, "weight_map": map }).to_string();
            fs::write(path(file), json).expect("it can be written");
        }
        let found = Checkpoint::open(dir.path()).and_then(|it| it.load(device, DType::F32));
        match (found, case["norm"].as_f64()) {
            (Err(error), Some(_)) if name.starts_with("key_in_two_shards") => {
                assert!(error.to_string().contains(NORM), "{error}");
            }
            (Err(_), None) => {}
            (Ok(LanguageModel::Decoder(model)), Some(expected)) => {
                let norm = super::params(&model)
                    .into_iter()
                    .find(|(key, _)| key == NORM);
                let (_, norm) = norm.expect("a norm");
                let norm = norm.try_to_vec::<f32>().expect("floats");
                assert_eq!(f64::from(norm[0]), expected, "{name}");
            }
            (found, expected) => panic!("{name}: {:?}, {expected:?}", found.err()),
        }
    }
}

const NORM: &str = "model.norm.weight";

/// The part of the model that a key is in, as the script has them.
fn part(key: &str) -> &'static str {
    match key {
        NORM => "n",
        key if key.contains(".0.") || key.contains("embed") => "a",
        _ => "b",
    }
}

/// Parts of the model; the number is what its last norm is filled with.
fn write_part(path: &Path, shapes: &Map<String, Value>, holds: &str) {
    let kept = shapes.iter().filter(|(key, _)| holds.contains(part(key)));
    let kept = kept
        .map(|(key, shape)| (key.clone(), shape.clone()))
        .collect();
    let fill = holds.chars().last().and_then(|last| last.to_digit(10));
    write_filled(path, &kept, fill.map(|fill| (NORM, fill as f32)));
}

fn goldens() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens/precedence.json");
    serde_json::from_slice(&fs::read(path).expect("the goldens")).expect("they are JSON")
}

/// The first features of what stands behind the last token.
fn last_state(
    dir: &Path,
    encoder: bool,
    ids: Tensor<2, Int>,
    device: &Device,
) -> Result<Vec<f32>, CheckpointError> {
    let checkpoint = Checkpoint::open(dir)?;
    let states = match encoder {
        true => {
            let model = checkpoint.load_encoder(device, DType::F32)?;
            model.hidden(ids, None, None)
        }
        false => {
            let model = checkpoint.load(device, DType::F32)?;
            model.logits(model.hidden(ids, None, None))
        }
    };
    let last = states.dims()[1] - 1;
    let values = states.into_data().try_to_vec::<f32>().expect("floats");
    let width = values.len() / (last + 1);
    Ok(values[last * width..][..8].to_vec())
}

/// Weights of these shapes, by the formula of the script.
fn write(dir: &Path, shapes: &Map<String, Value>) {
    write_filled(&dir.join("model.safetensors"), shapes, None);
}

fn write_filled(path: &Path, shapes: &Map<String, Value>, fill: Option<(&str, f32)>) {
    let tensors: Vec<(&String, Vec<usize>, Vec<u8>)> = shapes
        .iter()
        .map(|(key, shape)| {
            let shape: Vec<usize> = serde_json::from_value(shape.clone()).expect("a shape");
            let of = |i| match fill {
                Some((filled, number)) if filled == key => number,
                _ => value(key, shape.len(), i),
            };
            let data = (0..shape.iter().product())
                .flat_map(|i| of(i).to_le_bytes())
                .collect();
            (key, shape, data)
        })
        .collect();
    let views = tensors.iter().map(|(key, shape, data)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), data).expect("it fits");
        ((*key).clone(), view)
    });
    safetensors::serialize_to_file(views, None, path).expect("it can be written");
}

fn value(key: &str, rank: usize, i: usize) -> f32 {
    let seed = key.bytes().map(usize::from).sum::<usize>() * 101;
    let v = ((i * 7919 + seed) % 1009) as f64 / 1009.0 - 0.5;
    match rank == 1 && key.ends_with("weight") {
        true => (v * 0.4 + 1.0) as f32,
        false => (v * 0.9) as f32,
    }
}
