//! What is refused, and how it is said.

use std::fs;
use std::path::Path;

use burn::tensor::Device;
use peft_core::{ForwardPath, slots};
use peft_lora::LoraConfig;
use peft_store::{AdapterDir, AdapterFileError, TensorProblem};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

use super::{CONFIG, TENSORS, attach, base, copied, edit, golden};
use crate::fixture::params;

peft_tests::cases!(
    tensors_that_do_not_fit_are_named_together,
    weights_of_a_base_have_their_shape_and_place,
    weights_of_another_base_are_put_over_it,
    no_prefix_of_a_file_attaches,
    a_rank_that_the_file_has_not_makes_nothing,
);

#[test]
fn what_changes_the_result_and_is_not_supported_is_refused_by_name() {
    for (field, value) in [
        ("target_parameters", json!(["experts.up"])),
        ("layer_replication", json!([[0, 2], [1, 2]])),
        ("alora_invocation_tokens", json!([5])),
        ("init_lora_weights", json!("pissa")),
        ("peft_type", json!("XLORA")),
    ] {
        let dir = copied("lora_attn");
        edit(dir.path(), json!({ field: value }));
        let error = AdapterDir::open(dir.path()).expect_err(field);
        assert!(
            matches!(&error, AdapterFileError::Unsupported { field: found, .. } if found == field),
            "{error}"
        );
        let said = format!("`{field}` is {value}, which is not supported");
        assert!(error.to_string().contains(&said), "{error}");
    }
    for (field, value) in [
        ("r", json!("8")),
        ("lora_alpha", json!([])),
        ("bias", json!("some")),
        ("target_modules", Value::Null),
        ("rank_pattern", json!({"q_proj": -1})),
        ("use_rslora", json!(1)),
        ("layers_to_transform", json!(["1"])),
    ] {
        let dir = copied("lora_attn");
        edit(dir.path(), json!({ field: value }));
        let error = AdapterDir::open(dir.path()).expect_err(field);
        assert!(
            matches!(&error, AdapterFileError::Field { field: found, .. } if found == field),
            "{error}"
        );
    }
}

#[test]
fn a_directory_that_is_no_adapter_says_what_it_is() {
    let model = AdapterDir::open(golden("models/gqa")).expect_err("a model");
    assert!(model.to_string().contains("it is a model checkpoint"));
    let dir = copied("lora_attn");
    fs::write(dir.path().join(CONFIG), "{\"r\": ").expect("it is written");
    let torn = AdapterDir::open(dir.path()).expect_err("no JSON");
    assert!(matches!(torn, AdapterFileError::Json { .. }), "{torn}");
}

fn tensors_that_do_not_fit_are_named_together(device: &Device) {
    let dir = copied("lora_attn");
    let path = dir.path().join(TENSORS);
    let bytes = fs::read(&path).expect("tensors");
    let key = |layer: usize, end: &str| {
        format!("base_model.model.model.layers.{layer}.self_attn.{end}.weight")
    };
    let (missing, shaped) = (key(0, "q_proj.lora_A"), key(0, "q_proj.lora_B"));
    let (typed, poisoned) = (key(1, "v_proj.lora_A"), key(1, "v_proj.lora_B"));
    let extra = key(2, "q_proj.lora_A");
    let sound = SafeTensors::deserialize(&bytes).expect("sound");
    let replaced = [&missing, &shaped, &typed, &poisoned];
    let mut tensors: Vec<(String, TensorView<'_>)> = sound
        .tensors()
        .into_iter()
        .filter(|(key, _)| !replaced.contains(&key))
        .collect();
    let (zeros, nans) = (vec![0; 4 * 32 * 8], f32::NAN.to_le_bytes().repeat(16 * 4));
    let zero = |dtype, shape: [usize; 2], width: usize| {
        let len = shape[0] * shape[1] * width;
        TensorView::new(dtype, shape.to_vec(), &zeros[..len]).expect("it fits")
    };
    // In Burn's layout and not in torch's.
    tensors.push((shaped.clone(), zero(Dtype::F32, [4, 32], 4)));
    tensors.push((typed.clone(), zero(Dtype::I64, [4, 32], 8)));
    tensors.push((extra.clone(), zero(Dtype::F32, [4, 32], 4)));
    let nans = TensorView::new(Dtype::F32, vec![16, 4], &nans).expect("it fits");
    tensors.push((poisoned.clone(), nans));
    safetensors::serialize_to_file(tensors, None, &path).expect("it is written");

    let mut model = base("gqa", device);
    let before = params(&model);
    let error = attach(dir.path(), &mut model).expect_err("it does not fit");
    let AdapterFileError::Tensors { problems, .. } = &error else {
        panic!("{error}");
    };
    let expected = [
        TensorProblem::Missing {
            key: missing,
            nearest: None,
        },
        TensorProblem::Shape {
            key: shaped,
            expected: vec![32, 4],
            found: vec![4, 32],
        },
        TensorProblem::Dtype {
            key: typed,
            found: "I64".into(),
        },
        TensorProblem::NotFinite { key: poisoned },
        TensorProblem::Unexpected { key: extra },
    ];
    assert_eq!(problems.len(), expected.len(), "{error}");
    for problem in &expected {
        assert!(problems.contains(problem), "{problem} is not in {error}");
        assert!(error.to_string().contains(&problem.to_string()), "{error}");
    }
    assert!(slots(&model).is_empty());
    assert_eq!(params(&model), before);
}

/// A file with one more tensor, of zeros.
fn with_zeros(name: &str, key: &str, shape: [usize; 2]) -> tempfile::TempDir {
    let dir = copied(name);
    let path = dir.path().join(TENSORS);
    let bytes = fs::read(&path).expect("tensors");
    let sound = SafeTensors::deserialize(&bytes).expect("sound");
    let zeros = vec![0_u8; 4 * shape[0] * shape[1]];
    let zeros = TensorView::new(Dtype::F32, shape.into(), &zeros).expect("a tensor");
    let tensors = sound.tensors().into_iter().chain([(key.to_owned(), zeros)]);
    safetensors::serialize_to_file(tensors, None, &path).expect("it is written");
    dir
}

fn weights_of_a_base_have_their_shape_and_place(device: &Device) {
    let embedding = "base_model.model.model.embed_tokens.weight";
    // Another vocabulary, and another width.
    let dir = with_zeros("lora_attn", embedding, [98, 32]);
    let mut model = base("gqa", device);
    let before = params(&model);
    let error = attach(dir.path(), &mut model).expect_err("resized");
    let said = "is of 98 tokens, but the model has 96: the adapter was trained on a model whose vocabulary was resized";
    assert!(error.to_string().contains(said), "{error}");
    assert!(slots(&model).is_empty());
    assert_eq!(params(&model), before);
    let dir = with_zeros("lora_attn", embedding, [96, 31]);
    let error = attach(dir.path(), &mut model).expect_err("narrower");
    assert!(error.to_string().contains("has shape [96, 31]"), "{error}");
    // PEFT passes in silence over what is under an adapter by a name that no adapter has, and over
    // one beside no adapter by the name of what is under one.
    let below = "base_model.model.model.embed_tokens.base_layer.weight";
    let other = "base_model.model.model.layers.0.mlp.up_proj.weight";
    for (name, key, shape) in [
        ("lora_embedding", embedding, [96, 32]),
        ("lora_attn", below, [96, 32]),
        ("lora_attn", other, [48, 32]),
    ] {
        let dir = with_zeros(name, key, shape);
        let error = attach(dir.path(), &mut model).expect_err("no place");
        let said = format!("unexpected `{key}`");
        assert!(error.to_string().contains(&said), "{error}");
    }
}

/// The base has the adapter's weights as PEFT's has, and says so; a second adapter is on it too.
fn weights_of_another_base_are_put_over_it(device: &Device) {
    let adapter = golden("adapters").join("lora_embedding");
    let path = "model.embed_tokens.weight";
    let (mut own, mut other) = (base("gqa", device), base("llama3_rope", device));
    let kept = params(&other);
    let attached = |model| {
        let adapter = AdapterDir::open(&adapter)?;
        adapter.attach(model, "default", ForwardPath::Factored)
    };
    let report = attached(&mut own).expect("its own base");
    assert!(report.replaced.is_empty());
    let report = attached(&mut other).expect("another base");
    assert_eq!(report.replaced, [path]);
    assert!(report.to_string().contains(path), "{report}");
    let now = params(&other);
    assert_eq!(now[path], params(&own)[path]);
    for (key, value) in &kept {
        assert_eq!(&now[key] == value, key != path, "{key}");
    }
}

fn no_prefix_of_a_file_attaches(device: &Device) {
    let dir = copied("lora_attn");
    let path = dir.path().join(TENSORS);
    let bytes = fs::read(&path).expect("tensors");
    let mut model = base("gqa", device);
    for end in [0, 7, 8, 100, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..end]).expect("it is written");
        let error = attach(dir.path(), &mut model).expect_err("it is cut");
        assert!(
            matches!(error, AdapterFileError::Safetensors { .. }),
            "{error}"
        );
    }
    fs::remove_file(&path).expect("it is removed");
    let error = attach(dir.path(), &mut model).expect_err("it is gone");
    assert!(matches!(error, AdapterFileError::Io { .. }), "{error}");
    assert!(slots(&model).is_empty());
}

fn a_rank_that_the_file_has_not_makes_nothing(device: &Device) {
    let mut model = base("gqa", device);
    for rank in [5, 1_000_000_000, 1_u64 << 62, u64::MAX] {
        for (field, value) in [
            ("r", json!(rank)),
            ("rank_pattern", json!({ "q_proj": rank })),
        ] {
            let dir = copied("lora_attn");
            edit(dir.path(), json!({ field: value }));
            let error = attach(dir.path(), &mut model).expect_err(field).to_string();
            let said = format!("`{field}` asks for rank {rank}, and no tensor");
            assert!(error.contains(&said), "{error}");
        }
        if rank > 1024 {
            let lora = LoraConfig::new(rank as usize, 1.0);
            let error = lora.attach(&mut model, "a").expect_err("too large");
            assert!(error.to_string().contains("at most 1024"), "{error}");
        }
        assert!(slots(&model).is_empty());
    }
}

#[test]
fn what_lies_in_a_foreign_directory_is_said() {
    let refused = |dir: &Path| AdapterDir::open(dir).expect_err("no adapter").to_string();
    let parent = tempfile::tempdir().expect("a directory");
    let inner = parent.path().join("best");
    fs::create_dir(&inner).expect("it is made");
    fs::copy(
        golden("adapters/lora_attn").join(CONFIG),
        inner.join(CONFIG),
    )
    .expect("copied");
    let said = refused(parent.path());
    assert!(
        said.contains(&format!("there is one in {}", inner.display())),
        "{said}"
    );
    let said = refused(&inner.join(CONFIG));
    assert!(
        said.contains(&format!("give its directory, {}", inner.display())),
        "{said}"
    );
    let gguf = parent.path().join("m.gguf");
    fs::write(&gguf, "GGUF").expect("it is written");
    assert!(refused(&gguf).contains("it is a GGUF file"));

    fs::write(inner.join("adapter_model.bin"), "PK").expect("it is written");
    let error = AdapterDir::open(&inner)
        .expect("its config")
        .tensor_shapes();
    let said = error.expect_err("a pickle").to_string();
    assert!(
        said.contains("save it again with save_pretrained"),
        "{said}"
    );

    fs::write(inner.join("adapters.safetensors"), "").expect("it is written");
    fs::write(inner.join(CONFIG), r#"{"fine_tune_type": "lora"}"#).expect("it is written");
    assert!(refused(&inner).contains("an adapter of mlx-lm"));
}
