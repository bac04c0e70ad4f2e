//! Adapter directories: what is refused and how it is said, what survives being read and written, and lists that PEFT takes and a model has not.

use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::{DType, Device};
use peft_core::{ForwardPath, Names, Targets, slots};
use peft_ia3::Ia3Config;
use peft_lora::LoraConfig;
use peft_models::{CausalLm, FromEmbeddings, LanguageModel};
use peft_store::{
    AdapterConfig, AdapterDir, AdapterFileError, Checkpoint, TensorProblem, save_adapter,
};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::fixture::{assert_differs, assert_same, filled_adapters, ids, params};

peft_tests::cases!(
    tensors_that_do_not_fit_are_named_together,
    a_copy_of_another_base_is_refused,
    no_prefix_of_a_file_attaches,
    a_rank_that_the_file_has_not_makes_nothing,
    keys_may_have_other_forms,
    fields_survive,
    what_a_model_has_not_is_passed_over,
    a_layer_inside_a_module_to_save_is_no_target,
    ia3_says_which_layers_it_is_on,
);

const CONFIG: &str = "adapter_config.json";
const TENSORS: &str = "adapter_model.safetensors";

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("goldens")
        .join(name)
}

/// A copy of a golden adapter.
fn copied(name: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for file in [CONFIG, TENSORS] {
        let from = golden("adapters").join(name).join(file);
        fs::copy(from, dir.path().join(file)).expect("it is copied");
    }
    dir
}

fn fields(dir: &Path) -> Map<String, Value> {
    let text = fs::read_to_string(dir.join(CONFIG)).expect("a config");
    serde_json::from_str(&text).expect("an object")
}

/// Set fields of a directory's config.
fn edit(dir: &Path, changes: Value) {
    let mut fields = fields(dir);
    for (field, value) in changes.as_object().expect("an object") {
        fields.insert(field.clone(), value.clone());
    }
    fs::write(dir.join(CONFIG), json!(fields).to_string()).expect("it is written");
}

fn base(name: &str, device: &Device) -> LanguageModel {
    Checkpoint::open(golden("models").join(name))
        .and_then(|checkpoint| checkpoint.load(device, DType::F32))
        .expect("the base loads")
}

fn attach(dir: &Path, model: &mut LanguageModel) -> Result<AdapterDir, AdapterFileError> {
    let adapter = AdapterDir::open(dir)?;
    adapter.attach(model, "default", ForwardPath::Factored)?;
    Ok(adapter)
}

fn logits(model: &LanguageModel) -> burn::tensor::Tensor<3> {
    let device = model.devices().remove(0);
    model.logits(model.hidden(ids(&device), None, None))
}

#[test]
fn what_changes_the_result_and_is_not_supported_is_refused_by_name() {
    for (field, value) in [
        ("use_dora", json!(true)),
        ("lora_bias", json!(true)),
        ("target_parameters", json!(["experts.up"])),
        ("trainable_token_indices", json!([1, 2])),
        ("layer_replication", json!([[0, 2], [1, 2]])),
        ("alora_invocation_tokens", json!([5])),
        ("init_lora_weights", json!("pissa")),
        ("peft_type", json!("VERA")),
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
    tensors.push((typed.clone(), zero(Dtype::F64, [4, 32], 8)));
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
        TensorProblem::Missing { key: missing },
        TensorProblem::Shape {
            key: shaped,
            expected: vec![32, 4],
            found: vec![4, 32],
        },
        TensorProblem::Dtype {
            key: typed,
            found: "F64".into(),
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

fn a_copy_of_another_base_is_refused(device: &Device) {
    let adapter = golden("adapters").join("lora_embedding");
    attach(&adapter, &mut base("gqa", device)).expect("its own base");
    // Of the same shapes, and other values.
    let error = attach(&adapter, &mut base("llama3_rope", device)).expect_err("another");
    let AdapterFileError::Tensors { problems, .. } = &error else {
        panic!("{error}");
    };
    assert!(matches!(problems[..], [TensorProblem::OtherBase { .. }]));
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
            None,
            adapter.fields(),
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

/// Attach, fill, save, and load into a fresh base: the fields of the file, which gives the same logits.
fn reloaded(config: &AdapterConfig, device: &Device) -> Map<String, Value> {
    let mut model = base("gqa", device);
    config.attach(&mut model, "default").expect("it attaches");
    let model = filled_adapters(model);
    assert_differs(&logits(&model), &logits(&base("gqa", device)));
    let dir = tempfile::tempdir().expect("a directory");
    save_adapter(&model, "default", config, None, &Map::new(), dir.path()).expect("it saves");
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
            .with_modules_to_save([module])
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
