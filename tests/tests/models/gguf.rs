//! GGUF files as checkpoints: `tests/goldens/make_gguf_models.py` writes them with gguf-py.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device, Int, Tensor, TensorData, s};
use peft_gguf::{Contents, Metadata, TensorPlace, TensorType, Value, Writes};
use peft_models::{CausalLm, LanguageModel, Transformer};
use peft_store::{Checkpoint, Companions, write_checkpoint};
use peft_tests::tolerance::GOLDEN_LOGITS;
use peft_train::{EncodeSpecial, TextTokenizer, conversation};
use safetensors::SafeTensors;
use serde_json::{Value as Json, json};

use super::{assert_close, ids};

peft_tests::cases!(on the cores:
    gguf_models_equal_transformers,
    gguf_tokens_are_those_of_transformers,
    gguf_configs_are_those_of_the_models,
    what_goes_with_a_gguf_is_written_beside_a_model,
    what_is_no_model_is_refused,
);

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens/gguf")
}

/// The models of the folder.
fn names() -> Vec<String> {
    let entries = fs::read_dir(dir())
        .expect("goldens")
        .map(|entry| entry.expect("an entry"));
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let models = names.filter_map(|name| Some(name.strip_suffix(".safetensors")?.to_owned()));
    let mut models: Vec<String> = models.collect();
    models.sort();
    assert!(models.len() > 10, "{models:?}");
    models
}

fn file(name: &str) -> PathBuf {
    dir().join(format!("{name}.gguf"))
}

fn gguf_models_equal_transformers(device: &Device) {
    for name in names() {
        let checkpoint = Checkpoint::open(file(&name)).expect("it opens");
        assert!(checkpoint.has_weights());
        assert_eq!(
            checkpoint.strangers(device).expect("it is read"),
            Vec::<String>::new()
        );
        let model = checkpoint.load(device, DType::F32).expect("it loads");
        let bytes = fs::read(dir().join(format!("{name}.safetensors"))).expect("a golden");
        let expected = SafeTensors::deserialize(&bytes).expect("it is sound");
        let view = |key: &str| expected.tensor(key).expect("it is there");
        let ids: Vec<i64> = (view("input_ids").data().chunks_exact(8))
            .map(|b| i64::from_le_bytes(b.try_into().expect("8 bytes")))
            .collect();
        let wanted: Vec<f32> = (view("logits").data().chunks_exact(4))
            .map(|b| f32::from_le_bytes(b.try_into().expect("4 bytes")))
            .collect();
        let shape: [usize; 2] = view("input_ids").shape().try_into().expect("2 axes");
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, shape), device);
        let shape: [usize; 3] = view("logits").shape().try_into().expect("3 axes");
        let wanted = Tensor::<3>::from_data(TensorData::new(wanted, shape), device);
        let logits = model.logits(model.hidden(ids, None, None));
        let last = logits.dims()[1] - shape[1];
        println!("{name}");
        assert_close(&logits.slice(s![.., last.., ..]), &wanted, GOLDEN_LOGITS);
    }
}

fn gguf_tokens_are_those_of_transformers(_: &Device) {
    let golden = fs::read(dir().join("tokens.json")).expect("a golden");
    let golden: Json = serde_json::from_slice(&golden).expect("it is JSON");
    let texts: Vec<&str> = golden["texts"]
        .as_array()
        .expect("texts")
        .iter()
        .filter_map(Json::as_str)
        .collect();
    assert!(texts.len() > 10);
    for name in names() {
        let folder = Checkpoint::open(file(&name)).expect("it opens").folder();
        let tokenizer =
            TextTokenizer::from_folders(&folder, &folder, &folder).expect("a tokenizer");
        let expected = &golden["models"][&name];
        for (text, ids) in texts.iter().zip(expected["ids"].as_array().expect("ids")) {
            let ours = tokenizer
                .encode(text, EncodeSpecial::Both)
                .expect("it is encoded");
            assert_eq!(json!(ours), *ids, "{name}: {text:?}");
        }
        assert_eq!(json!(tokenizer.eos()), expected["eos"], "{name}");
        let said = conversation(&json!([{ "role": "user", "content": "hi" }])).expect("messages");
        let text = tokenizer.render(&said, true).expect("a template");
        assert_eq!(
            text,
            "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
        );
    }
}

/// A merge, or a run, leaves the files that the metadata stands for.
fn what_goes_with_a_gguf_is_written_beside_a_model(device: &Device) {
    for name in ["llama_q4_0", "gemma2_q4_1"] {
        let out = tempfile::tempdir().expect("a directory");
        let checkpoint = Checkpoint::open(file(name)).expect("it opens");
        let model = checkpoint.load(device, DType::F32).expect("it loads");
        let companions = Companions::of(checkpoint.folder(), None);
        companions.check(true).expect("they can be copied");
        let fields = checkpoint.fields_of(&model);
        let precision = checkpoint.precision(false).expect("it is read");
        assert!(precision.is_f32());
        write_checkpoint(&model, &fields, Some(&companions), precision, out.path())
            .expect("it is written");
        let written = Checkpoint::open(out.path()).expect("it opens");
        assert_eq!(written.config(), checkpoint.config());
        let ids = ids(2, 9, 512, device);
        let logits = |model: &LanguageModel| model.logits(model.hidden(ids.clone(), None, None));
        let again = written.load(device, DType::F32).expect("it loads");
        assert_close(&logits(&again), &logits(&model), 0.0);
        let folder = checkpoint.folder();
        let ours = TextTokenizer::from_folders(&folder, &folder, &folder).expect("a tokenizer");
        let theirs = TextTokenizer::from_dir(out.path()).expect("a tokenizer");
        let text = "<s> It's 2024,\n naïve 🦀";
        let encode =
            |tokenizer: &TextTokenizer| tokenizer.encode_prompt(text).expect("it is encoded");
        assert_eq!(
            (encode(&ours), ours.stops()),
            (encode(&theirs), theirs.stops())
        );
        assert!(theirs.has_chat_template());
    }
}

/// What a config says that the forward pass of a short text does not show.
fn gguf_configs_are_those_of_the_models(_: &Device) {
    let fields = |name: &str| {
        Checkpoint::open(file(name))
            .expect("it opens")
            .fields()
            .clone()
    };
    let llama3 = fields("llama3_bf16");
    assert_eq!(llama3["rope_scaling"]["rope_type"], "llama3");
    assert_eq!(llama3["rope_scaling"]["factor"], 8.0);
    assert_eq!(llama3["tie_word_embeddings"], true);
    assert_eq!(fields("llama_q8_0")["tie_word_embeddings"], false);
    assert_eq!(fields("llama_f16")["rms_norm_eps"], 1e-6);
    assert_eq!(fields("gemma2_q4_1")["sliding_window"], 7);
    assert_eq!(fields("phi3_f16")["partial_rotary_factor"], 0.5);
    let dtypes = |name: &str| {
        Checkpoint::open(file(name))
            .expect("it opens")
            .dtype()
            .expect("it is read")
    };
    assert_eq!(dtypes("llama_q8_0"), DType::F32);
    // Norms are f32.
    assert_eq!(dtypes("llama_f16"), DType::F32);
}

struct Again(TensorPlace);

impl Writes for Again {
    fn ty(&self) -> TensorType {
        self.0.ty()
    }

    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut bytes = vec![0; self.0.bytes()];
        self.0.read_at(0, &mut bytes).map_err(io::Error::other)?;
        out.write_all(&bytes)
    }
}

/// A golden with another value of a key, or without it.
fn changed(path: &Path, key: &str, value: Option<Value>) {
    let Contents { metadata, tensors } = peft_gguf::open(&file("llama_q4_0")).expect("it is sound");
    let mut other = Metadata::new();
    let kept = metadata.iter().filter(|(name, _)| *name != key);
    kept.for_each(|(name, value)| other.insert(name, value.clone()));
    if let Some(value) = value {
        other.insert(key, value);
    }
    let tensors = tensors.into_iter().filter(|place| place.key() != key);
    let tensors = tensors.map(|place| (place.key().to_owned(), Again(place)));
    peft_gguf::write(path, &other, tensors).expect("it is written");
}

fn what_is_no_model_is_refused(device: &Device) {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("model.gguf");
    let text = |text: &str| Some(Value::from(text));
    let number = |n: u32| Some(Value::from(n));
    let cases: [(&str, Option<Value>, &str); 14] = [
        (
            "general.architecture",
            None,
            "`general.architecture` is missing",
        ),
        (
            "general.architecture",
            text("mamba"),
            "is mamba, expected llama, qwen2",
        ),
        (
            "general.type",
            text("adapter"),
            "`general.type` is adapter, expected model",
        ),
        (
            "split.count",
            number(2),
            "`split.count` is 2, expected one file",
        ),
        (
            "llama.embedding_length",
            None,
            "`llama.embedding_length` is missing",
        ),
        (
            "llama.embedding_length",
            text("32"),
            "is a string, expected one whole number",
        ),
        (
            "llama.attention.head_count",
            number(0),
            "`blk.0.attn_q.weight` is [64, 32] in 0 heads",
        ),
        (
            "llama.attention.head_count",
            number(3),
            "`blk.0.attn_q.weight` is [64, 32] in 3 heads",
        ),
        (
            "llama.rope.dimension_count",
            number(8),
            "`llama.rope.dimension_count` is 8, expected 16",
        ),
        ("llama.expert_count", number(8), "a model without experts"),
        ("token_embd.weight", None, "`token_embd.weight` is missing"),
        (
            "tokenizer.ggml.model",
            text("t5"),
            "`tokenizer.ggml.model` is t5, expected gpt2 or llama",
        ),
        (
            "tokenizer.ggml.pre",
            text("viking"),
            "`tokenizer.ggml.pre` is viking, expected default",
        ),
        (
            "tokenizer.ggml.eos_token_id",
            number(512),
            "expected a number below 512",
        ),
    ];
    for (key, value, expected) in cases {
        changed(&path, key, value);
        let error = Checkpoint::open(&path)
            .expect_err("it is refused")
            .to_string();
        assert!(error.contains(expected), "{key}: {error}");
    }
    // What makes no model of this size is told as in a directory.
    changed(&path, "blk.1.ffn_up.weight", None);
    let loaded = Checkpoint::open(&path).and_then(|checkpoint| checkpoint.load(device, DType::F32));
    let error = loaded.expect_err("a tensor is missing").to_string();
    assert!(
        error.contains("missing `model.layers.1.mlp.up_proj.weight`"),
        "{error}"
    );
    // A directory with one such file is that file; with two it is neither.
    changed(&path, "none", None);
    let checkpoint = Checkpoint::open(place.path()).expect("it opens");
    assert_eq!(checkpoint.dir(), path);
    fs::copy(&path, place.path().join("other.gguf")).expect("it is copied");
    let error = Checkpoint::open(place.path())
        .expect_err("there are two")
        .to_string();
    assert!(
        error.contains("has several GGUF files; give one of them"),
        "{error}"
    );
}
