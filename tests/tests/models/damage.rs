//! Directories that are not what they should be: each is an error that says so, and none a panic.

use std::fs;
use std::path::Path;

use burn::tensor::{DType, Device, Tensor, TensorData};
use peft_models::{CausalLm, Transformer};
use peft_store::{Checkpoint, CheckpointError, TensorProblem};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;
use tempfile::TempDir;

use super::checkpoint::written;
use super::{load, spread, tiny};

peft_tests::cases!(
    all_mismatches_are_reported_together,
    tensors_without_a_place_are_named_and_left_alone,
    doubles_are_read,
    no_prefix_of_a_file_loads,
    headers_that_lie,
    weights_that_are_no_numbers_are_named,
    sizes_without_bound_are_refused,
    an_index_names_only_shards_beside_it,
    directories_that_are_something_else,
    what_is_no_file_is_said,
    many_shards_are_read,
);

const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

fn all_mismatches_are_reported_together(device: &Device) {
    let dir = written(&spread(&tiny(), device), DType::F32);
    let path = dir.path().join(WEIGHTS);
    let bytes = fs::read(&path).expect("the weights");
    let sound = safetensors::SafeTensors::deserialize(&bytes).expect("sound");
    let zeros = vec![0; 12 * 20 * 8];
    let q_proj = "model.layers.0.self_attn.q_proj.weight";
    let (up_proj, norm) = ("model.layers.1.mlp.up_proj.weight", "model.norm.weight");
    let mut tensors: Vec<(String, TensorView<'_>)> = sound
        .tensors()
        .into_iter()
        .filter(|(key, _)| ![q_proj, up_proj, norm].contains(&key.as_str()))
        .collect();
    let view =
        |dtype, shape, len: usize| TensorView::new(dtype, shape, &zeros[..len]).expect("fits");
    // In Burn's layout and not in torch's.
    tensors.push((up_proj.into(), view(Dtype::F32, vec![12, 20], 960)));
    tensors.push((norm.into(), view(Dtype::I64, vec![12], 96)));
    tensors.push((
        "model.extra.weight".into(),
        view(Dtype::F32, vec![2, 12], 96),
    ));
    let buffer = "model.layers.0.self_attn.rotary_emb.inv_freq"; // old releases wrote it
    tensors.push((buffer.into(), view(Dtype::F32, vec![3], 12)));
    safetensors::serialize_to_file(tensors, None, &path).expect("it can be written");

    let checkpoint = Checkpoint::open(dir.path()).expect("the config is sound");
    let error = checkpoint.load(device, DType::F32).expect_err("mismatches");
    let CheckpointError::Tensors { problems, .. } = &error else {
        panic!("{error}");
    };
    let expected = [
        TensorProblem::Missing {
            key: q_proj.into(),
            nearest: None,
        },
        TensorProblem::Shape {
            key: up_proj.into(),
            expected: vec![20, 12],
            found: vec![12, 20],
        },
        TensorProblem::Dtype {
            key: norm.into(),
            found: "I64".into(),
        },
        TensorProblem::Unexpected {
            key: "model.extra.weight".into(),
        },
    ];
    assert_eq!(problems.len(), expected.len(), "{error}");
    for problem in &expected {
        assert!(problems.contains(problem), "{problem} is not in {error}");
        assert!(error.to_string().contains(&problem.to_string()), "{error}");
    }
}

/// Key, dtype, shape and bytes.
type Raw = (String, Dtype, Vec<usize>, Vec<u8>);

/// A written model, and the same with its tensors changed.
fn changed(device: &Device, change: impl Fn(&mut Vec<Raw>)) -> [TempDir; 2] {
    let model = spread(&tiny(), device);
    let dirs = [written(&model, DType::F32), written(&model, DType::F32)];
    let path = dirs[1].path().join(WEIGHTS);
    let bytes = fs::read(&path).expect("the weights");
    let sound = safetensors::SafeTensors::deserialize(&bytes).expect("sound");
    let owned = |(key, view): (String, TensorView<'_>)| {
        (
            key,
            view.dtype(),
            view.shape().to_vec(),
            view.data().to_vec(),
        )
    };
    let mut tensors = sound.tensors().into_iter().map(owned).collect();
    change(&mut tensors);
    let views = tensors.iter().map(|(key, dtype, shape, data)| {
        let view = TensorView::new(*dtype, shape.clone(), data).expect("fits");
        (key.clone(), view)
    });
    safetensors::serialize_to_file(views, None, &path).expect("it can be written");
    dirs
}

fn outputs(dir: &Path, device: &Device) -> TensorData {
    let model = load(dir, device).expect("it loads");
    let ids = Tensor::from_data([[1, 5, 9, 22]], (device, DType::I64));
    model.logits(model.hidden(ids, None, None)).into_data()
}

fn tensors_without_a_place_are_named_and_left_alone(device: &Device) {
    let extra = "model.layers.7.mlp.up_proj.weight";
    let dirs = changed(device, |tensors| {
        tensors.push((extra.into(), Dtype::F32, vec![2, 12], vec![0; 96]));
        tensors.push((
            "model.rotary_emb.inv_freq".into(),
            Dtype::F32,
            vec![3],
            vec![0; 12],
        ));
    });
    let checkpoint = Checkpoint::open(dirs[1].path()).expect("the config is sound");
    assert_eq!(
        checkpoint.strangers(device).expect("they are read"),
        [extra]
    );
    let plain = Checkpoint::open(dirs[0].path()).expect("the config is sound");
    assert!(plain.strangers(device).expect("they are read").is_empty());
    let [a, b] = dirs.map(|dir| outputs(dir.path(), device));
    assert_eq!(a, b);
}

fn doubles_are_read(device: &Device) {
    let dirs = changed(device, |tensors| {
        for (_, dtype, _, data) in tensors {
            let wide = data
                .chunks_exact(4)
                .map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
            *data = wide.flat_map(f64::to_le_bytes).collect();
            *dtype = Dtype::F64;
        }
    });
    let checkpoint = Checkpoint::open(dirs[1].path()).expect("the config is sound");
    assert_eq!(checkpoint.dtype().expect("it is told"), DType::F32);
    let [a, b] = dirs.map(|dir| outputs(dir.path(), device));
    assert_eq!(a, b);
}

fn no_prefix_of_a_file_loads(device: &Device) {
    let dir = written(&spread(&tiny(), device), DType::BF16);
    let path = dir.path().join(WEIGHTS);
    let bytes = fs::read(&path).expect("the weights");
    for len in (0..bytes.len())
        .step_by(97)
        .chain([7, 8, 9, bytes.len() - 1])
    {
        fs::write(&path, &bytes[..len]).expect("it can be written");
        let checkpoint = Checkpoint::open(dir.path()).expect("the config is sound");
        match checkpoint.load(device, DType::F32) {
            Err(CheckpointError::Malformed { path: named, .. }) => assert_eq!(named, path),
            other => panic!("{len} bytes: {:?}", other.err()),
        }
    }
}

fn headers_that_lie(device: &Device) {
    let dir = written(&spread(&tiny(), device), DType::F32);
    let path = dir.path().join(WEIGHTS);
    let tensor = |shape: serde_json::Value, offsets: serde_json::Value| {
        json!({"model.norm.weight": {"dtype": "F32", "shape": shape, "data_offsets": offsets}})
            .to_string()
    };
    let max = u64::MAX;
    for header in [
        String::new(),
        "[]".into(),
        "{\"a\":".into(),
        "[".repeat(100_000),
        tensor(json!([12]), json!([0, 480])),
        tensor(json!([12]), json!([48, 0])),
        tensor(json!([12]), json!([0, 1u64 << 50])),
        tensor(json!([12]), json!([max - 47, max])),
        tensor(json!([1u64 << 33, 1u64 << 33]), json!([0, 48])),
        tensor(json!([max, max]), json!([0, 48])),
        tensor(json!([-12]), json!([0, 48])),
    ] {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend([0; 48]);
        fs::write(&path, bytes).expect("it can be written");
        let error = load(dir.path(), device).expect_err("the header lies");
        let shown = &header[..header.len().min(200)];
        assert!(
            matches!(error, CheckpointError::Malformed { .. }),
            "{shown}: {error}"
        );
    }
    for claimed in [49, 1 << 40, u64::MAX] {
        let mut bytes = u64::to_le_bytes(claimed).to_vec();
        bytes.extend([b' '; 48]);
        fs::write(&path, bytes).expect("it can be written");
        let error = load(dir.path(), device).expect_err("the header is not there");
        assert!(
            matches!(error, CheckpointError::Malformed { .. }),
            "{claimed}: {error}"
        );
    }
}

fn an_index_names_only_shards_beside_it(device: &Device) {
    let dir = written(&spread(&tiny(), device), DType::F32);
    // It would be taken before any index.
    fs::remove_file(dir.path().join(WEIGHTS)).expect("it is there");
    for map in [
        json!({"weight_map": {"a": "../model.safetensors"}}),
        json!({"weight_map": {"a": "/etc/passwd"}}),
        json!({"weight_map": {"a": "config.json"}}),
        json!({"weight_map": {"a": 1}}),
        json!({"weight_map": []}),
        json!({}),
        json!([]),
    ] {
        fs::write(dir.path().join(INDEX), map.to_string()).expect("it can be written");
        let error = load(dir.path(), device).expect_err("the index is not sound");
        assert!(
            matches!(error, CheckpointError::Malformed { .. }),
            "{map}: {error}"
        );
    }
    let absent = json!({"weight_map": {"a": "model-2.safetensors"}});
    fs::write(dir.path().join(INDEX), absent.to_string()).expect("it can be written");
    match load(dir.path(), device) {
        Err(CheckpointError::Io { path, .. }) => assert!(path.ends_with("model-2.safetensors")),
        other => panic!("{:?}", other.err()),
    }
}

fn directories_that_are_something_else(device: &Device) {
    let empty = tempfile::tempdir().expect("a temporary directory");
    let path = empty.path();
    let error = load(path, device).expect_err("nothing there").to_string();
    assert!(error.contains("config.json"), "{error}");
    fs::write(path.join("adapter_config.json"), "{}").expect("it can be written");
    let error = load(path, device).expect_err("an adapter").to_string();
    assert!(error.contains("it is an adapter"), "{error}");
    fs::write(path.join("config.json"), "{]").expect("it can be written");
    let error = load(path, device).expect_err("no JSON");
    assert!(matches!(error, CheckpointError::Json { .. }), "{error}");

    let dir = written(&spread(&tiny(), device), DType::F32);
    assert!(
        Checkpoint::open(dir.path())
            .expect("it opens")
            .has_weights()
    );
    fs::remove_file(dir.path().join(WEIGHTS)).expect("it is there");
    fs::write(dir.path().join("pytorch_model.bin"), "").expect("it can be written");
    let checkpoint = Checkpoint::open(dir.path()).expect("the config is sound");
    assert!(!checkpoint.has_weights());
    let error = load(dir.path(), device)
        .expect_err("no weights")
        .to_string();
    assert!(error.contains("pytorch_model.bin"), "{error}");
}

fn weights_that_are_no_numbers_are_named(device: &Device) {
    let key = "model.layers.1.mlp.up_proj.weight";
    for (value, dtype, sound) in [
        (f32::NAN, DType::F32, false),
        (f32::NEG_INFINITY, DType::F32, false),
        (f32::INFINITY, DType::BF16, false),
        (70_000.0, DType::F16, false), // beyond f16, whose largest is 65504
        (70_000.0, DType::BF16, true),
        (65_000.0, DType::F16, true),
    ] {
        if !device.supports_dtype(dtype) {
            continue;
        }
        let dir = written(&spread(&tiny(), device), DType::F32);
        let path = dir.path().join(WEIGHTS);
        let bytes = fs::read(&path).expect("the weights");
        let mut data = {
            let file = safetensors::SafeTensors::deserialize(&bytes).expect("sound");
            file.tensor(key).expect("it is there").data().to_vec()
        };
        let shape = vec![20, 12];
        data[40..44].copy_from_slice(&value.to_le_bytes());
        let file = safetensors::SafeTensors::deserialize(&bytes).expect("sound");
        let mut tensors: Vec<_> = file.tensors();
        tensors.retain(|(name, _)| name != key);
        tensors.push((
            key.into(),
            TensorView::new(Dtype::F32, shape, &data).expect("fits"),
        ));
        safetensors::serialize_to_file(tensors, None, &path).expect("it can be written");
        let checkpoint = Checkpoint::open(dir.path()).expect("the config is sound");
        match checkpoint.load(device, dtype) {
            Ok(_) => assert!(sound, "{value} in {dtype:?}"),
            Err(error) => {
                let message = error.to_string();
                assert!(!sound && message.contains(key), "{message}");
            }
        }
    }
}

fn sizes_without_bound_are_refused(device: &Device) {
    for (field, size) in [
        ("vocab_size", u64::MAX),
        ("head_dim", 1 << 33),
        ("num_hidden_layers", 1 << 25),
        ("num_hidden_layers", 5000),
    ] {
        let dir = written(&spread(&tiny(), device), DType::F32);
        super::checkpoint::edit_config(dir.path(), |fields| {
            fields[field] = size.into();
        });
        let error = Checkpoint::open(dir.path()).expect_err("too large");
        assert!(format!("{error:?}").contains(field), "{error:?}");
    }
    // Sizes that could be, but are not those of the file: no tensor is made of them.
    let dir = written(&spread(&tiny(), device), DType::F32);
    super::checkpoint::edit_config(dir.path(), |fields| {
        fields["vocab_size"] = 60_000_000.into();
    });
    let checkpoint = Checkpoint::open(dir.path()).expect("the config is sound");
    let error = checkpoint
        .load(device, DType::F32)
        .expect_err("other shapes");
    assert!(error.to_string().contains("60000000"), "{error}");
}

fn what_is_no_file_is_said(device: &Device) {
    for (file, said) in [("config.json", "config.json"), (WEIGHTS, WEIGHTS)] {
        let dir = written(&spread(&tiny(), device), DType::F32);
        let path = dir.path().join(file);
        fs::remove_file(&path).expect("it is there");
        fs::create_dir(&path).expect("it can be made");
        let error = load(dir.path(), device).expect_err("a directory");
        let CheckpointError::Io { path, source, .. } = &error else {
            panic!("{error:?}");
        };
        assert!(path.ends_with(said), "{error}");
        assert!(source.to_string().contains("is a directory"), "{source}");
        #[cfg(unix)]
        {
            fs::remove_dir(path).expect("it is there");
            std::os::unix::fs::symlink(path, path).expect("it can be made");
            let error = load(dir.path(), device).expect_err("a circle of links");
            assert!(matches!(error, CheckpointError::Io { .. }), "{error:?}");
        }
    }
}

fn many_shards_are_read(device: &Device) {
    let model = spread(&tiny(), device);
    let dir = written(&model, DType::F32);
    let single = dir.path().join(WEIGHTS);
    let bytes = fs::read(&single).expect("the weights");
    let sound = safetensors::SafeTensors::deserialize(&bytes).expect("sound");
    // More files than are held open: most of them hold nothing.
    let mut map = serde_json::Map::new();
    for i in 0..100 {
        let name = format!("model-{i:05}-of-00100.safetensors");
        let tensors: Vec<_> = sound.tensors().into_iter().skip(i).step_by(100).collect();
        for (key, _) in &tensors {
            map.insert(key.clone(), name.clone().into());
        }
        map.insert(format!("empty.{i}"), name.clone().into());
        safetensors::serialize_to_file(tensors, None, &dir.path().join(name)).expect("written");
    }
    fs::remove_file(&single).expect("it is there");
    let index = json!({ "weight_map": map }).to_string();
    fs::write(dir.path().join(INDEX), index).expect("it can be written");
    let found = super::params(&load(dir.path(), device).expect("it loads"));
    assert_eq!(found, super::params(&model));
}
