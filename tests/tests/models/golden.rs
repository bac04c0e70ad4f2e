//! What transformers computes for the same checkpoints.
//!
//! The expected values are read from `tests/goldens`, or from the directory that `PEFT_GOLDENS`
//! names.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{Bool, DType, Device, Int, Tensor, TensorData, s};
use peft_core::has_suffix;
use peft_models::{CausalLm, LanguageModel, Transformer};
use peft_store::{Checkpoint, CheckpointConfig, checkpoint_config};
use peft_tests::tolerance::{GOLDEN_BF16, GOLDEN_LOGITS};
use safetensors::SafeTensors;

use super::assert_close;

peft_tests::cases!(
    models_equal_transformers,
    half_precision_equals_transformers,
    rotations_that_depend_on_the_length,
    every_family_has_targets,
);

fn models_equal_transformers(device: &Device) {
    for_each_model(|dir| {
        let checkpoint = Checkpoint::open(dir).expect("it opens");
        let model = checkpoint.load(device, DType::F32).expect("it loads");
        compare(&model, &Expected::read(dir), device);
        for check in ["f32", "padding", "cache"] {
            evidence(&checkpoint, check, device);
        }
        if let Ok(old) = fs::read(dir.join("config.old.json")) {
            let fields = serde_json::from_slice(&old).expect("an object");
            let config = checkpoint_config(&fields).expect("it is supported");
            assert_eq!(&config, checkpoint.config());
        }
    });
}

fn half_precision_equals_transformers(device: &Device) {
    if !device.supports_dtype(DType::BF16) {
        println!("this backend has no bf16");
        return;
    }
    let mut seen = 0;
    for_each_model(|dir| {
        let expected = Expected::read(dir);
        if !expected.has("logits_bf16") {
            return;
        }
        let checkpoint = Checkpoint::open(dir).expect("it opens");
        let model = checkpoint.load(device, DType::BF16).expect("it loads");
        let ids = expected.ints::<2>("input_ids", device);
        let logits = model.logits(model.hidden(ids, None, None)).cast(DType::F32);
        let wanted = expected.floats("logits_bf16", device);
        let largest = wanted.clone().abs().max().into_scalar::<f32>();
        let worst = (logits - wanted).abs().max().into_scalar::<f32>();
        assert!(
            worst <= GOLDEN_BF16 * largest,
            "{worst} apart, logits up to {largest}"
        );
        evidence(&checkpoint, "bf16", device);
        seen += 1;
    });
    assert!(seen >= 20, "only {seen} models have logits in bf16");
}

/// Frequencies that follow from the length of the sequence so far: with a cache, keys keep those of
/// their time.
fn rotations_that_depend_on_the_length(device: &Device) {
    for name in ["llama_dynamic", "phi3_longrope"] {
        let dir = models().join(name);
        println!("{name}");
        let model = Checkpoint::open(&dir)
            .and_then(|checkpoint| checkpoint.load(device, DType::F32))
            .expect("it loads");
        let expected = Expected::read(&dir);
        let ids = expected.ints::<2>("input_ids", device);
        let short = model.logits(model.hidden(ids.clone().slice(s![.., ..12]), None, None));
        assert_close(
            &short,
            &expected.floats("short_logits", device),
            GOLDEN_LOGITS,
        );
        let start: Vec<u32> = ids
            .slice(s![0..1, ..12])
            .into_data()
            .iter::<u32>()
            .collect();
        for cached in [false, true] {
            let name = |what| match cached {
                true => format!("beyond_cached_{what}"),
                false => format!("beyond_{what}"),
            };
            let tokens = expected.data(&name("generated"), DType::I64);
            let tokens: Vec<u32> = tokens.iter::<u32>().collect();
            let wanted = Tensor::<2>::from_data(expected.data(&name("logits"), DType::F32), device);
            let mut cache = model.new_cache();
            for step in 0..tokens.len() {
                let row = [start.as_slice(), &tokens[..step]].concat();
                if !cached || !model.cache_holds(cache.len(), row.len()) {
                    cache = model.new_cache();
                }
                let new = row[cache.len()..].iter().map(|id| i64::from(*id));
                let new = TensorData::new(new.collect(), [1, row.len() - cache.len()]);
                let read = Tensor::from_data(new, (device, DType::I64));
                let logits = model.logits(model.hidden(read, None, Some(&mut cache)));
                let last = logits.slice(s![.., -1.., ..]).squeeze_dim::<2>(0);
                let wanted = wanted.clone().slice(s![step as i64..step as i64 + 1, ..]);
                assert_close(&last, &wanted, GOLDEN_LOGITS);
            }
        }
    }
}

/// A family's names are those of its layers: each adapts one at least, in every block.
fn every_family_has_targets(device: &Device) {
    let (decoders, encoders) = (models(), models().join("../encoders"));
    for dir in directories(&decoders)
        .into_iter()
        .chain(directories(&encoders))
    {
        println!("{}", dir.display());
        let checkpoint = Checkpoint::open(&dir).expect("it opens");
        let family = checkpoint.family_targets();
        let layers = match checkpoint.config() {
            CheckpointConfig::LanguageModel(config) => peft_core::layers(&config.init(device)),
            CheckpointConfig::Encoder(config) => peft_core::layers(&config.encoder(true, device)),
        };
        for name in family.attention.iter().chain(family.ia3) {
            let named = layers.iter().filter(|layer| has_suffix(&layer.path, name));
            assert!(named.count() >= checkpoint.config().n_layers(), "{name}");
        }
        assert!(
            family
                .ia3_feedforward
                .iter()
                .all(|name| family.ia3.contains(name))
        );
    }
}

fn evidence(checkpoint: &Checkpoint, check: &str, device: &Device) {
    let family = checkpoint.fields()["model_type"].as_str();
    let name = checkpoint.dir().file_name().and_then(|name| name.to_str());
    let row = format!("{} | next token", family.expect("a family"));
    peft_tests::verified("models", &row, "checkpoints", name.expect("a name"));
    peft_tests::verified("models", &row, check, peft_tests::backend(device));
}

fn for_each_model(mut check: impl FnMut(&Path)) {
    for dir in directories(&models()) {
        println!("{}", dir.display());
        check(&dir);
    }
}

pub(super) fn directories(dir: &Path) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap_or_else(|e| panic!("{}: {e}", dir.display()))
        .map(|entry| entry.expect("an entry").path())
        .collect();
    dirs.sort();
    assert!(!dirs.is_empty(), "no golden in {}", dir.display());
    dirs
}

fn compare(model: &LanguageModel, expected: &Expected, device: &Device) {
    let ids = expected.ints::<2>("input_ids", device);
    let logits = model.logits(model.hidden(ids.clone(), None, None));
    assert_close(&logits, &expected.floats("logits", device), GOLDEN_LOGITS);

    let mask = expected.ints::<2>("padded_attention_mask", device);
    let padding: Tensor<2, Bool> = mask.clone().equal_elem(0);
    let hidden = model.hidden(ids.clone(), Some(mask), None);
    // What stands at padding is nobody's to compare.
    let shown = |logits: Tensor<3>| {
        let mask = padding.clone().unsqueeze_dim::<3>(2).expand(logits.dims());
        logits.mask_fill(mask, 0.0)
    };
    let padded = shown(expected.floats("padded_logits", device));
    assert_close(&shown(model.logits(hidden)), &padded, GOLDEN_LOGITS);

    let generated = expected.ints::<1>("generated", device);
    let mut cache = model.new_cache();
    let mut next = ids.slice(s![0..1, 0..6]);
    let mut tokens = Vec::new();
    for _ in 0..generated.dims()[0] {
        let hidden = model.hidden(next, None, Some(&mut cache));
        let last = hidden.dims()[1] - 1;
        let logits = model.logits(hidden.slice(s![.., last.., ..]));
        next = logits.argmax(2).squeeze_dim::<2>(2);
        tokens.push(next.clone());
    }
    let tokens = Tensor::cat(tokens, 1).squeeze_dim::<1>(0);
    assert_eq!(
        tokens.into_data().convert::<i64>(),
        generated.into_data().convert::<i64>()
    );
}

pub(super) fn models() -> PathBuf {
    let goldens = std::env::var_os("PEFT_GOLDENS").map(PathBuf::from);
    goldens
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens"))
        .join("models")
}

struct Expected(Vec<u8>);

impl Expected {
    fn read(dir: &Path) -> Self {
        Self(fs::read(dir.join("expected.safetensors")).expect("expected values"))
    }

    fn has(&self, name: &str) -> bool {
        let file = SafeTensors::deserialize(&self.0).expect("sound");
        file.tensor(name).is_ok()
    }

    fn data(&self, name: &str, dtype: DType) -> TensorData {
        let file = SafeTensors::deserialize(&self.0).expect("sound");
        let view = file.tensor(name).expect(name);
        TensorData::from_bytes_vec(view.data().to_vec(), view.shape().to_vec(), dtype)
    }

    fn floats(&self, name: &str, device: &Device) -> Tensor<3> {
        Tensor::from_data(self.data(name, DType::F32), device)
    }

    fn ints<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D, Int> {
        Tensor::from_data(self.data(name, DType::I64), device)
    }
}
