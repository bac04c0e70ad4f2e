//! What transformers computes for the same checkpoints.
//!
//! The expected values are read from `tests/goldens`, or from the directory that `PEFT_GOLDENS` names.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{Bool, DType, Device, Int, Tensor, TensorData, s};
use peft_models::{CausalLm, LlamaForCausalLm, Transformer};
use peft_store::{Checkpoint, llama_config};
use peft_tests::tolerance::GOLDEN_LOGITS;
use safetensors::SafeTensors;

use super::assert_close;

peft_tests::cases!(models_equal_transformers);

fn models_equal_transformers(device: &Device) {
    let dir = models();
    let mut seen = 0;
    for entry in fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
        let dir = entry.expect("an entry").path();
        println!("{}", dir.display());
        let checkpoint = Checkpoint::open(&dir).expect("it opens");
        let model = checkpoint.load(device, DType::F32).expect("it loads");
        compare(&model, &Expected::read(&dir), device);
        if let Ok(old) = fs::read(dir.join("config.old.json")) {
            let fields = serde_json::from_slice(&old).expect("an object");
            let config = llama_config(&fields).expect("it is supported");
            assert_eq!(&config, checkpoint.config());
        }
        seen += 1;
    }
    assert!(seen > 0, "no golden in {}", dir.display());
}

fn compare(model: &LlamaForCausalLm, expected: &Expected, device: &Device) {
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

fn models() -> PathBuf {
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
