//! Models and adapters written as GGUF: read back, and beside what gguf-py wrote.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device, Tensor};
use peft_core::{Placed, slots};
use peft_gguf::{Contents, TensorPlace, Value};
use peft_lora::{Lora, LoraConfig, LoraScaling};
use peft_models::{CausalLm, LanguageModel, Transformer};
use peft_store::{Checkpoint, TensorType, with_gguf_adapter, write_gguf, write_gguf_adapter};
use peft_tests::tolerance::GOLDEN_LOGITS;
use peft_train::TextTokenizer;

use super::{assert_close, ids};
use crate::fixture::filled_adapters;

peft_tests::cases!(on the cores:
    written_models_compute_what_they_did,
    written_tensors_are_those_of_gguf_py,
    a_written_adapter_adds_what_it_did,
    what_gguf_has_no_words_for_is_refused,
);

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("goldens")
        .join(name)
}

/// A golden written again, and what is read back.
fn again(name: &str, ty: TensorType, device: &Device, path: &Path) -> (LanguageModel, Checkpoint) {
    let checkpoint = Checkpoint::open(golden(name)).expect("it opens");
    let model = checkpoint.load(device, DType::F32).expect("it loads");
    let fields = checkpoint.fields_of(&model);
    write_gguf(&model, &fields, &checkpoint.folder(), ty, path)
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let written = Checkpoint::open(path).unwrap_or_else(|error| panic!("{name}: {error}"));
    (model, written)
}

fn written_models_compute_what_they_did(device: &Device) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("model.gguf");
    let of_gguf = [
        "llama_q8_0",
        "llama_q4_0",
        "llama3_bf16",
        "llama_yarn",
        "qwen2_q5_1",
        "qwen3_q5_0",
    ];
    let more = ["gemma2_q4_1", "gemma3_q8_0", "phi3_f16", "gpt2_q8_0"];
    let of_gguf = of_gguf
        .iter()
        .chain(&more)
        .map(|name| format!("gguf/{name}.gguf"));
    let of_dirs = [
        "gqa",
        "tied",
        "biased",
        "mistral",
        "qwen2",
        "qwen3_base_tied",
        "phi3_partial",
        "gpt2",
    ];
    let of_dirs = of_dirs.iter().map(|name| format!("models/{name}"));
    for name in of_gguf.chain(of_dirs) {
        let (model, written) = again(&name, TensorType::F32, device, &path);
        let read = written.load(device, DType::F32).expect("it loads");
        assert_eq!(read.config(), model.config(), "{name}");
        let x = ids(2, 9, model.config().vocab_size(), device);
        let logits = |model: &LanguageModel| model.logits(model.hidden(x.clone(), None, None));
        assert_close(&logits(&read), &logits(&model), GOLDEN_LOGITS);
        if !name.ends_with("gguf") {
            continue;
        }
        let folders = [
            Checkpoint::open(golden(&name)).expect("it opens").folder(),
            written.folder(),
        ];
        let [ours, theirs] = folders.map(|folder| {
            TextTokenizer::from_folders(&folder, &folder, &folder).expect("a tokenizer")
        });
        for text in [
            "It's 2024,  isn't it?\n",
            " naïve 🦀 façade",
            "<|im_start|>user the cat sat",
        ] {
            let encode = |of: &TextTokenizer| of.encode_prompt(text).expect("it is encoded");
            assert_eq!(encode(&theirs), encode(&ours), "{name}: {text:?}");
        }
        assert_eq!(theirs.stops(), ours.stops(), "{name}");
        assert!(theirs.has_chat_template());
    }
}

fn bytes(place: &TensorPlace) -> Vec<u8> {
    let mut bytes = vec![0; place.bytes()];
    place.read_at(0, &mut bytes).expect("it is read");
    bytes
}

fn by_name(opened: &Contents) -> BTreeMap<&str, &TensorPlace> {
    let places = opened.tensors.iter();
    places.map(|place| (place.key(), place)).collect()
}

/// What gguf-py wrote, read and written again, has the same tensors; where values are rounded to
/// blocks, those that are rounded once more.
fn written_tensors_are_those_of_gguf_py(device: &Device) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("model.gguf");
    for (name, ty) in [
        ("llama_f16", TensorType::F16),
        ("llama_yarn", TensorType::F32),
        ("llama3_bf16", TensorType::BF16),
        ("phi3_f16", TensorType::F16),
    ] {
        let name = format!("gguf/{name}.gguf");
        again(&name, ty, device, &path);
        let theirs = peft_gguf::open(&golden(&name)).expect("it is sound");
        let ours = peft_gguf::open(&path).expect("it is sound");
        let (theirs_by, ours_by) = (by_name(&theirs), by_name(&ours));
        assert!(theirs_by.keys().eq(ours_by.keys()), "{name}");
        for (tensor, place) in theirs_by {
            let own = ours_by[tensor];
            assert_eq!(
                (own.shape(), own.ty()),
                (place.shape(), place.ty()),
                "{name}: {tensor}"
            );
            // Its factors are computed in f32.
            if tensor != "rope_freqs.weight" {
                assert!(bytes(own) == bytes(place), "{name}: {tensor}");
            }
        }
        for (key, value) in theirs.metadata.iter() {
            let said = ours.metadata.get(key);
            let same = matches!((said, value), (Some(a), b) if a == b);
            // What pads the vocabulary has no type of its own in a tokenizer.json.
            let left = [
                "general.name",
                "tokenizer.ggml.token_type",
                "tokenizer.ggml.scores",
                "tokenizer.ggml.pre",
            ];
            assert!(same || left.contains(&key), "{name}: {key} is {said:?}");
        }
    }
    // Q4_0 keeps what is in it, but for the embeddings, which get more bits.
    let (_, written) = again("gguf/llama_q4_0.gguf", TensorType::Q4_0, device, &path);
    let kinds: BTreeMap<String, String> = written
        .tensors()
        .expect("they are read")
        .into_iter()
        .map(|(key, _, kind)| (key, kind))
        .collect();
    assert_eq!(kinds["model.embed_tokens.weight"], "Q8_0");
    assert_eq!(kinds["model.layers.0.self_attn.q_proj.weight"], "Q4_0");
    assert_eq!(kinds["model.norm.weight"], "F32");
}

/// `lora_b · lora_a · alpha / rank`, its rows put back, is what the adapter adds.
fn a_written_adapter_adds_what_it_did(device: &Device) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("adapter.gguf");
    for (name, scaling) in [
        ("gguf/llama_q8_0.gguf", LoraScaling::Standard),
        ("gguf/llama_q8_0.gguf", LoraScaling::RankStabilised),
        ("models/gpt2", LoraScaling::Standard),
        ("gguf/qwen3_q5_0.gguf", LoraScaling::Standard),
    ] {
        let checkpoint = Checkpoint::open(golden(name)).expect("it opens");
        let mut model = checkpoint.load(device, DType::F32).expect("it loads");
        let config = LoraConfig::new(3, 7.0).with_scaling(scaling);
        let targets: &[&str] = match name.contains("gpt2") {
            true => &["c_attn", "c_proj"],
            false => &["q_proj", "k_proj", "v_proj", "down_proj"],
        };
        let config = config.with_targets(peft_core::Targets::suffixes(targets.iter().copied()));
        config.attach(&mut model, "a").expect("it attaches");
        let model = filled_adapters(model);
        let base = checkpoint.language_model_config().expect("a decoder");
        write_gguf_adapter(&model, (base, checkpoint.fields()), ("a", 7.0), &path)
            .expect("it is written");
        let bare = checkpoint.load(device, DType::F32).expect("it loads");
        let folded = with_gguf_adapter(bare, (base, checkpoint.fields()), &path);
        let folded = folded.expect("it fits");
        let x = ids(2, 9, folded.config().vocab_size(), device);
        let logits = |model: &LanguageModel| model.logits(model.hidden(x.clone(), None, None));
        let expected = logits(&model);
        let largest = expected.clone().abs().max().into_scalar::<f32>();
        let of_largest = |logits: Tensor<3>| logits.div_scalar(largest);
        assert_close(
            &of_largest(logits(&folded)),
            &of_largest(expected),
            GOLDEN_LOGITS,
        );
        let opened = peft_gguf::open(&path).expect("it is sound");
        let said = |key: &str| {
            opened
                .metadata
                .get(key)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        assert_eq!(said("general.type").as_deref(), Some("adapter"));
        assert_eq!(said("adapter.type").as_deref(), Some("lora"));
        assert_eq!(
            opened.metadata.get("adapter.lora.alpha"),
            Some(&Value::F32(7.0))
        );
        let tensors = by_name(&opened);
        let adapted = slots(&model);
        assert_eq!(tensors.len(), 2 * adapted.len());
        for (at, slot) in adapted {
            let lora = slot.get::<Lora>("a").expect("a LoRA");
            // [d_in, d_out]
            let expected = lora
                .delta()
                .into_data()
                .convert::<f32>()
                .try_to_vec::<f32>()
                .expect("f32");
            let number = at
                .split('.')
                .find(|part| part.parse::<usize>().is_ok())
                .expect("a block");
            let module = match at
                .trim_end_matches(".weight")
                .rsplit_once('.')
                .expect("a layer")
                .1
            {
                "q_proj" => "attn_q",
                "k_proj" => "attn_k",
                "v_proj" => "attn_v",
                "c_attn" => "attn_qkv",
                "c_proj" if at.contains("attn") => "attn_output",
                _ => "ffn_down",
            };
            let values = |end: &str| {
                let place = tensors[format!("blk.{number}.{module}.weight.{end}").as_str()];
                let mut values = vec![0.0; place.shape().iter().product()];
                place.ty().unpack(&bytes(place), &mut values);
                (place.shape().to_vec(), values)
            };
            let ((a_shape, a), (b_shape, b)) = (values("lora_a"), values("lora_b"));
            let (d_in, d_out) = (a_shape[1], b_shape[0]);
            assert_eq!((a_shape[0], b_shape[1]), (3, 3));
            let heads = match module {
                "attn_q" if name.contains("llama") => 4,
                "attn_k" if name.contains("llama") => 2,
                _ => 0,
            };
            let mut worst = 0.0_f32;
            for row in 0..d_out {
                // Where a row of the checkpoint is in the file.
                let there = match heads {
                    0 => row,
                    heads => {
                        let size = d_out / heads;
                        let (head, half, i) =
                            (row / size, row % size / (size / 2), row % (size / 2));
                        head * size + 2 * i + half
                    }
                };
                for column in 0..d_in {
                    let product: f32 = (0..3)
                        .map(|r| b[there * 3 + r] * a[r * d_in + column])
                        .sum();
                    let found = product * 7.0 / 3.0;
                    worst = worst.max((found - expected[column * d_out + row]).abs());
                }
            }
            assert!(worst < 1e-4, "{name}: {at}: {worst}");
            assert!(expected.iter().any(|value| value.abs() > 1e-2));
        }
    }
}

fn what_gguf_has_no_words_for_is_refused(device: &Device) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("model.gguf");
    let checkpoint = Checkpoint::open(golden("models/llama_dynamic")).expect("it opens");
    let model = checkpoint.load(device, DType::F32).expect("it loads");
    let fields = checkpoint.fields_of(&model);
    let written = write_gguf(
        &model,
        &fields,
        &checkpoint.folder(),
        TensorType::F16,
        &path,
    );
    let error = written.expect_err("its rotation is refused").to_string();
    assert!(
        error.contains("it cannot be written as GGUF: rotary settings Dynamic"),
        "{error}"
    );
    let written = write_gguf(
        &model,
        &fields,
        &checkpoint.folder(),
        TensorType::Q4_K,
        &path,
    );
    let error = written.expect_err("nothing packs it").to_string();
    assert!(error.contains("weights in Q4_K"), "{error}");
    // An adapter on the embedding has no place in an adapter's file.
    let mut model = model;
    let config =
        LoraConfig::new(2, 4.0).with_targets(peft_core::Targets::suffixes(["embed_tokens"]));
    config.attach(&mut model, "a").expect("it attaches");
    let base = checkpoint.language_model_config().expect("a decoder");
    let written = write_gguf_adapter(&model, (base, &fields), ("a", 4.0), &path);
    let error = written.expect_err("it is refused").to_string();
    assert!(
        error.contains("an adapter on `model.embed_tokens"),
        "{error}"
    );
    assert!(!path.exists());
}
