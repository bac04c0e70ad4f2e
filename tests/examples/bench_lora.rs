//! One variant of the LoRA training step, measured alone in its process:
//! `bench_lora factored|dora|frozen_a|apply_lora|full`.
//!
//! Prints `seconds=S peak_kib=N trainable=N loss=X`: the median over the measured steps, and the
//! high-water mark of resident memory. `cargo xtask bench lora` runs the variants in turn and
//! compares them.

use std::error::Error;
use std::time::Instant;

use burn::module::{Lora, Module, ParamGroup};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::Device;
use peft_lora::{LoraConfig, Placed, Targets};
use peft_models::{DecoderConfig, DecoderForCausalLm};
use peft_tests::measured::{peak_kib, trainable};
use peft_train::{Batch, Example, target_nll};

const BATCH: usize = 4;
const POSITIONS: usize = 128;
const VOCABULARY: usize = 8000;
const RANK: usize = 8;
const ALPHA: f64 = 16.0;
const WARM_UPS: usize = 2;
const STEPS: usize = 12;
const LEARNING_RATE: f64 = 1e-4;
const PROJECTIONS: [&str; 7] = [
    "q_proj",
    "k_proj",
    "v_proj",
    "o_proj",
    "gate_proj",
    "up_proj",
    "down_proj",
];

fn main() -> Result<(), Box<dyn Error>> {
    let variant = std::env::args().nth(1).unwrap_or_default();
    let device = Device::flex().autodiff();
    device.seed(1);
    let mut model = prepare(&variant, config().init(&device))?;
    let mut optimizer = AdamWConfig::new().init();
    let batch = batch(&device);
    let mut seconds = Vec::with_capacity(STEPS);
    let mut last_loss = f32::NAN;
    for step in 0..WARM_UPS + STEPS {
        let started = Instant::now();
        let loss = target_nll(&model, &batch).mean();
        last_loss = loss.clone().into_scalar::<f32>();
        let grads = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(LEARNING_RATE, model, grads);
        if step >= WARM_UPS {
            seconds.push(started.elapsed().as_secs_f64());
        }
    }
    seconds.sort_by(f64::total_cmp);
    println!(
        "seconds={:.4} peak_kib={} trainable={} loss={last_loss:.4}",
        seconds[seconds.len() / 2],
        peak_kib()?,
        trainable(&model),
    );
    Ok(())
}

fn config() -> DecoderConfig {
    DecoderConfig {
        norm_epsilon: 1e-5,
        max_positions: POSITIONS,
        ..DecoderConfig::llama(VOCABULARY, 512, 1536, 8, 8)
    }
}

/// The model as the variant trains it.
fn prepare(
    variant: &str,
    mut model: DecoderForCausalLm,
) -> Result<DecoderForCausalLm, Box<dyn Error>> {
    match variant {
        "factored" | "dora" | "frozen_a" => {
            LoraConfig::new(RANK, ALPHA)
                .with_dora(variant == "dora")
                .with_freeze_a(variant == "frozen_a")
                .with_targets(Targets::suffixes(PROJECTIONS))
                .attach(&mut model, "default")?;
            Ok(model)
        }
        "apply_lora" => {
            let weights = PROJECTIONS.map(|name| format!("{name}.weight")).to_vec();
            let group = ParamGroup::from_any_predicates(weights);
            Ok(model.apply_lora(Lora::new(RANK, ALPHA).set_param_group(group)))
        }
        "full" => Ok(model),
        other => Err(format!(
            "no variant `{other}`; there are factored, dora, frozen_a, apply_lora and full"
        )
        .into()),
    }
}

/// Rows of tokens, every one but the first a target, the same for every variant.
fn batch(device: &Device) -> Batch {
    let id = |i: usize| ((i * 7919 + 13) % VOCABULARY) as u32;
    let rows: Vec<Example> = (0..BATCH)
        .map(|row| {
            let ids = (0..POSITIONS).map(|i| id(row * POSITIONS + i)).collect();
            Example::new(ids, (0..POSITIONS).map(|i| i > 0).collect())
        })
        .collect();
    Batch::new(&rows.iter().collect::<Vec<_>>(), device)
}
