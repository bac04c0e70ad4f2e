//! Models on packed bases: as GGUF files have them, quantised when they are read, adapted, trained,
//! merged and written.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Param;
use burn::tensor::{DType, Device, Tensor};
use peft_core::{ForwardPath, FrozenWeight, Placed, Targets, merge};
use peft_kernels::PackedFormat;
use peft_lora::LoraConfig;
use peft_models::{CausalLm, LanguageModel, Transformer};
use peft_store::{
    AdapterDir, Checkpoint, CheckpointError, Held, Quantise, base_digest, write_checkpoint,
};
use peft_tests::tolerance::GOLDEN_LOGITS;
use peft_train::{Batch, Example, target_nll};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use super::{NF4, Q8, dense, goldens, load, logits, open, packs};
use crate::fixture::{assert_close, assert_same, filled_adapters};

peft_tests::cases!(on the cores:
    gguf_files_are_held_as_they_lie,
    a_model_is_quantised_when_it_is_read,
    a_lora_step_on_nf4_is_pefts,
    bitsandbytes_directories_are_held_as_they_lie,
    what_bitsandbytes_has_not_packed_so_is_refused,
    digests_are_of_the_blocks,
    a_merge_is_dense,
);

/// Their values are those that they are dequantised to, `q` and `k` in the order of a checkpoint.
fn gguf_files_are_held_as_they_lie(device: &Device) {
    let formats = [
        ("llama_q4_0", PackedFormat::Q4_0),
        ("llama_q8_0", PackedFormat::Q8_0),
        ("gemma2_q4_1", PackedFormat::Q4_1),
        ("qwen2_q5_1", PackedFormat::Q5_1),
        ("qwen3_q5_0", PackedFormat::Q5_0),
        ("gpt2_q8_0", PackedFormat::Q8_0),
    ];
    for (name, format) in formats {
        let file = format!("gguf/{name}.gguf");
        let expected = load(&file, Quantise::Dense, device);
        let found = load(&file, Quantise::AsStored, device);
        let held = Held::of(&found);
        println!("{name}: {held:?}");
        if !packs(device) {
            assert!(held.packed.is_empty());
            assert_close(&logits(&found), &logits(&expected), 0.0);
            continue;
        }
        let (count, _) = held.packed[&format];
        assert!(count >= 8, "{name}: {count}");
        assert!(held.bytes() < Held::of(&expected).bytes());
        let digest = |model: &LanguageModel| base_digest(model, &Default::default());
        assert_eq!(digest(&dense(&found)), digest(&expected), "{name}");
        assert_close(&logits(&found), &logits(&expected), GOLDEN_LOGITS);
        // A file without blocks stays what it is.
        let plain = load("gguf/llama_f16.gguf", Quantise::AsStored, device);
        assert!(Held::of(&plain).packed.is_empty());
    }
}

fn a_model_is_quantised_when_it_is_read(device: &Device) {
    // GPT-2's layers lie the other way round in their file.
    for name in ["gqa", "tied", "gpt2", "phi3"] {
        let path = format!("models/{name}");
        for quantise in [NF4, Q8] {
            let checkpoint = open(&path, quantise);
            if !packs(device) {
                let error = checkpoint.load(device, DType::F32).expect_err("no product");
                assert!(matches!(error, CheckpointError::Quantise { .. }), "{error}");
                continue;
            }
            let whole = load(&path, Quantise::Dense, device);
            for dtype in [DType::F32, DType::BF16] {
                let model = checkpoint.load(device, dtype).expect("it loads");
                let held = Held::of(&model);
                assert_eq!(held.packed.len(), 1, "{held:?}");
                assert!(held.bytes() < Held::of(&whole).bytes(), "{held:?}");
                let (head, embedding) = (model.embedding_path(), "lm_head");
                peft_core::visit_params(&model, &mut Ends([head, embedding]));
                if dtype == DType::F32 {
                    assert_close(&logits(&model), &logits(&dense(&model)), GOLDEN_LOGITS);
                    // It is near the weights that it was made of, and not the same.
                    let gap = (logits(&model) - logits(&whole)).abs().max();
                    let gap = gap.into_scalar::<f32>();
                    let largest = logits(&whole).abs().max().into_scalar::<f32>();
                    assert!(gap > 0.0 && gap < largest, "{name}: {gap} of {largest}");
                }
            }
        }
    }
}

/// The ends of a model and its vectors stay dense, and its blocks' linear layers do not.
struct Ends<'a>([&'a str; 2]);

impl peft_core::VisitParams for Ends<'_> {
    fn visit<const D: usize>(&mut self, at: &peft_core::ParamPlace, param: &Param<Tensor<D>>) {
        let path = at.path();
        let end = self.0.iter().any(|end| path.starts_with(end));
        let is_packed = FrozenWeight::of(param).packed().is_some();
        let linear = at
            .containers()
            .last()
            .is_some_and(|kind| kind == "Struct:Linear");
        assert_eq!(is_packed, D == 2 && linear && !end, "{path}");
    }
}

type Tensors = BTreeMap<String, Vec<f64>>;

fn tensors(path: &Path) -> Tensors {
    let tensors = peft_tests::read_tensors(path).into_iter();
    tensors.map(|(key, (_, values))| (key, values)).collect()
}

fn batch(expected: &Tensors, device: &Device) -> Batch {
    let (ids, labels) = (&expected["input_ids"], &expected["labels"]);
    let rows = ids.chunks(ids.len() / 2).zip(labels.chunks(ids.len() / 2));
    let examples: Vec<Example> = rows
        .map(|(ids, labels)| {
            Example::new(
                ids.iter().map(|id| *id as u32).collect(),
                labels.iter().map(|label| *label >= 0.0).collect(),
            )
        })
        .collect();
    Batch::new(&examples.iter().collect::<Vec<_>>(), device)
}

/// Loss and gradients of PEFT on bitsandbytes (`make_bnb_models.py`), to 1e-3 of the largest.
fn a_lora_step_on_nf4_is_pefts(device: &Device) {
    const NEAR: f64 = 1e-3;
    if !packs(device) {
        return;
    }
    let device = device.clone().autodiff();
    let dir = goldens().join("bnb/lora_nf4");
    let expected = tensors(&dir.join("expected.safetensors"));
    let mut model = load("bnb/dense", NF4, &device);
    let close = |what: &str, found: &[f64], wanted: &[f64]| {
        assert_eq!(found.len(), wanted.len(), "{what}");
        let largest = wanted.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
        let gap = found
            .iter()
            .zip(wanted)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max);
        println!("{what}: {gap:.2e} of {largest:.2e}");
        assert!(gap <= NEAR * largest, "{what}: {gap:.2e} of {largest:.2e}");
    };
    let values = |tensor: Tensor<3>| tensor.into_data().iter::<f64>().collect::<Vec<f64>>();
    let batch = batch(&expected, &device);
    let logits =
        |model: &LanguageModel| values(model.logits(model.hidden(batch.ids.clone(), None, None)));
    close("base", &logits(&model), &expected["base_logits"]);
    let adapter = AdapterDir::open(&dir).expect("it opens");
    adapter
        .attach(&mut model, "default", ForwardPath::Factored)
        .expect("it attaches");
    close("logits", &logits(&model), &expected["logits"]);
    let loss = target_nll(&model, &batch).mean();
    let value = loss.clone().into_scalar::<f32>();
    close("loss", &[value.into()], &expected["loss"]);
    let grads = loss.backward();
    let mut seen = 0;
    for (path, slot) in peft_core::slots(&model) {
        let lora: &peft_lora::Lora = slot.get("default").expect("a LoRA");
        let layer = path.trim_end_matches(".weight");
        for (name, factor) in [("lora_A", &lora.lora_a), ("lora_B", &lora.lora_b)] {
            let grad = factor.val().grad(&grads).expect("it trains");
            let found: Vec<f64> = grad.transpose().into_data().iter::<f64>().collect();
            let key = format!("grad.base_model.model.{layer}.{name}.weight");
            close(&key, &found, &expected[&key]);
            seen += 1;
        }
    }
    assert_eq!(seen, 28);
}

/// What transformers has saved of a model that bitsandbytes quantised.
fn bitsandbytes_directories_are_held_as_they_lie(device: &Device) {
    for (name, format) in [
        ("nf4", PackedFormat::Nf4),
        ("nf4_double", PackedFormat::Nf4Double),
        ("int8", PackedFormat::Int8),
    ] {
        let path = format!("bnb/{name}");
        let checkpoint = open(&path, Quantise::AsStored);
        let strangers = checkpoint.strangers(device).expect("it is read");
        assert_eq!(strangers, Vec::<String>::new());
        assert!(!checkpoint.fields().contains_key("quantization_config"));
        let [held, dense] = [Quantise::AsStored, Quantise::Dense].map(|quantise| {
            let model = load(&path, quantise, device);
            assert_eq!(
                &model.config(),
                checkpoint.language_model_config().expect("a decoder")
            );
            model
        });
        assert!(Held::of(&dense).packed.is_empty());
        let packed = Held::of(&held).packed;
        match packs(device) {
            true => assert_eq!(packed[&format].0, 14, "{packed:?}"),
            false => assert!(packed.is_empty()),
        }
        assert_close(&logits(&held), &logits(&dense), GOLDEN_LOGITS);
        if format == PackedFormat::Int8 {
            // Its rows are rounded too in bitsandbytes, so its logits are no golden; weights are.
            let whole = logits(&load("bnb/dense", Quantise::Dense, device));
            let largest = whole.clone().abs().max().into_scalar::<f32>();
            let gap = (logits(&held) - whole).abs().max().into_scalar::<f32>();
            assert!(gap > 0.0 && gap < 0.1 * largest, "{gap} of {largest}");
            continue;
        }
        let expected = goldens().join(format!("bnb/lora_{name}/expected.safetensors"));
        let expected = tensors(&expected);
        let batch = batch(&expected, device);
        let found = held.logits(held.hidden(batch.ids, None, None));
        let found = found.into_data();
        for (found, wanted) in found.iter::<f64>().zip(&expected["base_logits"]) {
            assert!((found - wanted).abs() < 1e-3 * wanted.abs().max(1.0));
        }
    }
}

/// A directory with a part of a weight changed in its file.
fn changed(
    change: impl Fn(&mut BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>),
) -> tempfile::TempDir {
    let from = goldens().join("bnb/nf4_double");
    let bytes = super::read(from.join("model.safetensors"));
    let file = SafeTensors::deserialize(&bytes).expect("it is sound");
    let tensors = file.iter().map(|(key, view)| {
        let all = (view.dtype(), view.shape().to_vec(), view.data().to_vec());
        (key.to_owned(), all)
    });
    let mut tensors = tensors.collect();
    change(&mut tensors);
    let views = tensors.iter().map(|(key, (dtype, shape, data))| {
        let view = TensorView::new(*dtype, shape.clone(), data).expect("it fits");
        (key.as_str(), view)
    });
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("model.safetensors");
    safetensors::serialize_to_file(views, None, &path).expect("it is written");
    std::fs::copy(from.join("config.json"), dir.path().join("config.json")).expect("a copy");
    dir
}

fn what_bitsandbytes_has_not_packed_so_is_refused(device: &Device) {
    const WEIGHT: &str = "model.layers.0.mlp.up_proj.weight";
    let key = |part: &str| format!("{WEIGHT}{part}");
    let state = key(".quant_state.bitsandbytes__nf4");
    let settings = |from: &str, to: &str| {
        changed(|tensors| {
            let (_, shape, data) = tensors.get_mut(&state).expect("it is there");
            let text = String::from_utf8(data.clone()).expect("UTF-8");
            assert!(text.contains(from), "{text}");
            *data = text.replace(from, to).into_bytes();
            *shape = vec![data.len()];
        })
    };
    let part = |part: &str| changed(|tensors| drop(tensors.remove(&key(part))));
    let cases = [
        (
            settings(r#""blocksize": 64"#, r#""blocksize": 128"#),
            "blocksize is 128",
        ),
        (
            settings(r#""nested_blocksize": 256"#, r#""nested_blocksize": 64"#),
            "expected 256",
        ),
        (settings("[128, 64]", "[128, 32]"), "[128, 32]"),
        (
            settings("[128, 64]", "[18446744073709551615, 2]"),
            "[18446744073709551615, 2]",
        ),
        (settings("[128, 64]", "[8192]"), "its shape is [8192]"),
        (settings("{", ""), "its settings"),
        (
            changed(|tensors| {
                let (_, shape, data) = tensors.get_mut(WEIGHT).expect("it is there");
                data.pop();
                *shape = vec![data.len(), 1];
            }),
            "4095 bytes for a weight",
        ),
        (part(".nested_absmax"), "it has no `.nested_absmax`"),
        (part(".quant_map"), "it has no `.quant_map`"),
        (
            part(".quant_state.bitsandbytes__nf4"),
            "it has no `.quant_state",
        ),
        (
            changed(|tensors| {
                let table = tensors.remove(&state).expect("it is there");
                tensors.insert(key(".quant_state.bitsandbytes__fp4"), table);
            }),
            "it is of type fp4",
        ),
        (
            changed(|tensors| {
                let (_, _, table) = tensors.get_mut(&key(".quant_map")).expect("it is there");
                table[7] ^= 1;
            }),
            "other values than those of nf4",
        ),
    ];
    for (dir, part) in cases {
        for quantise in [Quantise::AsStored, Quantise::Dense] {
            let checkpoint = Checkpoint::open(dir.path()).expect("it opens");
            let checkpoint = checkpoint.with_any_size(true);
            let loaded = checkpoint.with_quantise(quantise).load(device, DType::F32);
            let error = loaded.expect_err(part);
            let mut said = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(error) = source {
                said = format!("{said}: {error}");
                source = error.source();
            }
            assert!(said.contains(part), "{part}: {said}");
            assert!(said.contains("up_proj"), "{said}");
        }
    }
}

fn digests_are_of_the_blocks(device: &Device) {
    if !packs(device) {
        return;
    }
    let digest = |path: &str, quantise| {
        let model = load(path, quantise, device);
        base_digest(&model, &Default::default())
    };
    let [whole, nf4, q8] = [Quantise::Dense, NF4, Q8].map(|held| digest("models/gqa", held));
    assert!(nf4.starts_with("packed:") && q8.starts_with("packed:") && !whole.contains(':'));
    assert_ne!(nf4, q8);
    assert_eq!(nf4, digest("models/gqa", NF4));
    assert_ne!(nf4, digest("models/tied", NF4));
    // One of the same shapes, of which blocks alone are others.
    let checkpoint = open("models/gqa", Quantise::Dense);
    let mut model = checkpoint.load(device, DType::F32).expect("it loads");
    LoraConfig::new(2, 4.0)
        .with_targets(Targets::all_linear().last(1))
        .attach(&mut model, "a")
        .expect("it attaches");
    let mut model = filled_adapters(model);
    let _ = merge(&mut model).expect("it merges");
    let dir = tempfile::tempdir().expect("a directory");
    let fields = checkpoint.fields_of(&model);
    write_checkpoint(&model, &fields, None, DType::F32, dir.path()).expect("it is written");
    let other = Checkpoint::open(dir.path()).expect("it opens");
    let other = other.with_quantise(NF4).load(device, DType::F32);
    let other = base_digest(&other.expect("it loads"), &Default::default());
    assert_ne!(nf4, other);
}

/// A merge, and what is written of a packed model, is its dense value.
fn a_merge_is_dense(device: &Device) {
    if !packs(device) {
        return;
    }
    for name in ["gqa", "gpt2"] {
        let checkpoint = open(format!("models/{name}"), NF4);
        let mut model = checkpoint.load(device, DType::F32).expect("it loads");
        LoraConfig::new(2, 4.0)
            .with_targets(Targets::all_linear().last(1))
            .attach(&mut model, "a")
            .expect("it attaches");
        let mut model = filled_adapters(model);
        let before = logits(&model);
        let unmerged = merge(&mut model).expect("it merges");
        assert_close(&logits(&model), &before, GOLDEN_LOGITS);
        let dir = tempfile::tempdir().expect("a directory");
        let fields = checkpoint.fields_of(&model);
        write_checkpoint(&model, &fields, None, DType::F32, dir.path()).expect("it is written");
        let again = Checkpoint::open(dir.path()).expect("it opens");
        let again = again.load(device, DType::F32).expect("it loads");
        assert!(Held::of(&again).packed.is_empty());
        assert_close(&logits(&again), &logits(&model), GOLDEN_LOGITS);
        unmerged.restore(&mut model);
        assert_same(&logits(&model), &before);
    }
}
