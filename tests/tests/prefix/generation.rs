//! Generation reads a prefix once, and what it reads anew it reads behind the prefix.

use std::path::Path;

use burn::tensor::{DType, Device, Int, Tensor, TensorData, s};
use peft_model::{CausalLm, Transformer};
use peft_prefix::Prefixed;
use peft_store::Checkpoint;
use peft_train::{GenerateConfig, generate};

use super::{decoder, prefixed};

peft_tests::cases!(
    generation_equals_reading_all_again,
    a_changing_rotation_is_read_again_behind_the_prefix,
    a_prefix_takes_of_the_positions,
);

fn config(max_new_tokens: usize) -> GenerateConfig {
    GenerateConfig {
        max_new_tokens,
        ..GenerateConfig::default()
    }
}

/// The likeliest tokens without a cache.
fn uncached<M: CausalLm>(model: &M, prompt: &[u32], count: usize, device: &Device) -> Vec<u32> {
    let mut row: Vec<i64> = prompt.iter().map(|id| i64::from(*id)).collect();
    for _ in 0..count {
        let data = TensorData::new(row.clone(), [1, row.len()]);
        let ids = Tensor::<2, Int>::from_data(data, (device, DType::I64));
        let hidden = model.hidden(ids, None, None);
        let logits = model.logits(hidden.slice(s![.., -1.., ..]));
        let next = logits.argmax(2).into_data().iter::<i64>().next();
        row.push(next.expect("a token"));
    }
    row[prompt.len()..].iter().map(|id| *id as u32).collect()
}

fn generation_equals_reading_all_again(device: &Device) {
    let model = decoder(device);
    let prompt = [4, 19, 7, 2];
    let found = generate(&model, &prompt, &config(10), |_| ()).expect("it generates");
    assert_eq!(found, uncached(&model, &prompt, 10, device));
    let bare = generate(&model.model, &prompt, &config(10), |_| ()).expect("it generates");
    assert_ne!(found, bare);
    peft_tests::Invariant::Cache.verified("prefix tuning", device);
}

/// All keys turn anew where the sequence grows beyond 16 positions, those of the prefix among them;
/// the prefix is put there again.
fn a_changing_rotation_is_read_again_behind_the_prefix(device: &Device) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens/models/phi3_longrope");
    let checkpoint = Checkpoint::open(&dir).expect("it opens");
    let model = checkpoint.load(device, DType::F32).expect("it loads");
    let model: Prefixed<_> = prefixed(model, device);
    let prompt: Vec<u32> = (3..10).collect();
    assert!(!model.cache_holds(16, 14) && model.cache_holds(15, 13));
    let found = generate(&model, &prompt, &config(12), |_| ()).expect("it generates");
    assert_eq!(found, uncached(&model, &prompt, 12, device));
}

fn a_prefix_takes_of_the_positions(device: &Device) {
    let model = decoder(device);
    let limit = model.max_positions();
    assert_eq!(limit, 32 - super::N);
    let prompt = vec![1; limit + 1];
    let error = generate(&model, &prompt, &config(1), |_| ()).expect_err("too long");
    assert!(error.to_string().contains(&limit.to_string()), "{error}");
    assert!(generate(&model, &prompt[1..], &config(1), |_| ()).is_ok());
}
