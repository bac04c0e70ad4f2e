//! A LoRA step of a language model's checkpoint, measured alone in its process, and random
//! checkpoints to measure it on:
//!
//! - `bench_train make SHAPE DIR` writes a random checkpoint of a public model's sizes in bf16:
//!   `smollm2-135m`, `qwen2.5-0.5b` or `qwen2.5-1.5b`;
//! - `bench_train DIR ROWS TOKENS BASE plain|recomputed METHOD` trains adapters on all seven
//!   projections on one batch of `ROWS` rows of `TOKENS` tokens with the base in `BASE` (f32 or
//!   bf16; q8, nf4 and nf4-double are linear layers in blocks and the rest in bf16, q8+ and nf4+
//!   the embedding too), and prints
//!   `seconds=S peak_kib=N trainable=N loss=X floor=S base_kib=N`.
//!
//! `seconds` is the median of the steps after the first, `loss` that of the first step, which is
//! the base's. `base_kib` is what its weights take. `floor` is the time of the step's
//! multiply-adds alone at the rate at which this machine multiplies large f32 matrices.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::{DType, Device, Distribution, Tensor};
use peft_core::AdapterSchedule;
use peft_kernels::PackedFormat;
use peft_lora::{AdaLoraConfig, LoraConfig, Placed, RankAllocator, Targets};
use peft_lycoris::LoHaConfig;
use peft_models::{DecoderConfig, LanguageModel, ProjectionBias, RopeConfig};
use peft_oft::{Blocks, OftConfig};
use peft_store::{Checkpoint, Held, Quantise, write_checkpoint};
use peft_tests::measured::{peak_kib, trainable};
use peft_train::{
    EvalReport, Example, NextToken, Observer, Progress, StepReport, TrainConfig, TrainError,
    Trainer,
};
use peft_vera::VeraConfig;
use serde_json::{Map, Value, json};

const RANK: usize = 8;
const ALPHA: f64 = 16.0;
const STEPS: usize = 4;
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
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["make", shape, dir] => make(shape, Path::new(dir)),
        [dir, rows, tokens, base, way, method] => {
            let recompute = match way {
                "plain" => false,
                "recomputed" => true,
                other => return Err(format!("no way `{other}`").into()),
            };
            let vocabulary = base.ends_with('+');
            let base = match base.trim_end_matches('+') {
                "f32" => (DType::F32, Quantise::Dense),
                "bf16" => (DType::BF16, Quantise::Dense),
                "q8" => (DType::BF16, Quantise::To(PackedFormat::Q8_0)),
                "nf4" => (DType::BF16, Quantise::To(PackedFormat::Nf4)),
                "nf4-double" => (DType::BF16, Quantise::To(PackedFormat::Nf4Double)),
                other => {
                    let all = "f32, bf16, q8, nf4 and nf4-double";
                    return Err(format!("no base `{other}`; there are {all}").into());
                }
            };
            let (rows, tokens) = (rows.parse()?, tokens.parse()?);
            let checkpoint = Checkpoint::open(Path::new(dir))?
                .with_quantise(base.1)
                .with_quantised_vocabulary(vocabulary);
            measure(&checkpoint, rows, tokens, base.0, recompute, method)
        }
        _ => Err(
            "bench_train make SHAPE DIR, or bench_train DIR ROWS TOKENS BASE plain|recomputed METHOD"
                .into(),
        ),
    }
}

/// The sizes of a public model, and its `config.json`.
fn shape(name: &str) -> Result<(DecoderConfig, Map<String, Value>), Box<dyn Error>> {
    let smollm2 = DecoderConfig {
        n_kv_heads: 3,
        norm_epsilon: 1e-5,
        max_positions: 8192,
        rope: RopeConfig::new(100_000.0),
        tie_word_embeddings: true,
        ..DecoderConfig::llama(49_152, 576, 1536, 30, 9)
    };
    let qwen = DecoderConfig {
        n_kv_heads: 2,
        max_positions: 32_768,
        rope: RopeConfig::new(1_000_000.0),
        tie_word_embeddings: true,
        attention_bias: ProjectionBias::Inputs,
        ..DecoderConfig::llama(151_936, 896, 4864, 24, 14)
    };
    let larger = DecoderConfig {
        n_kv_heads: 2,
        max_positions: 32_768,
        rope: RopeConfig::new(1_000_000.0),
        tie_word_embeddings: true,
        attention_bias: ProjectionBias::Inputs,
        ..DecoderConfig::llama(151_936, 1536, 8960, 28, 12)
    };
    let (config, family, architecture) = match name {
        "smollm2-135m" => (smollm2, "llama", "LlamaForCausalLM"),
        "qwen2.5-0.5b" => (qwen, "qwen2", "Qwen2ForCausalLM"),
        "qwen2.5-1.5b" => (larger, "qwen2", "Qwen2ForCausalLM"),
        other => {
            let all = "smollm2-135m, qwen2.5-0.5b and qwen2.5-1.5b";
            return Err(format!("no shape `{other}`; there are {all}").into());
        }
    };
    let fields = json!({
        "architectures": [architecture],
        "model_type": family,
        "hidden_act": "silu",
        "vocab_size": config.vocab_size,
        "hidden_size": config.d_model,
        "intermediate_size": config.d_ff,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.n_kv_heads,
        "rms_norm_eps": config.norm_epsilon,
        "max_position_embeddings": config.max_positions,
        "rope_theta": config.rope.theta,
        "tie_word_embeddings": true,
    });
    match fields {
        Value::Object(fields) => Ok((config, fields)),
        _ => Err("the config is no object".into()),
    }
}

fn make(name: &str, dir: &Path) -> Result<(), Box<dyn Error>> {
    let (config, fields) = shape(name)?;
    let device = Device::flex();
    device.seed(1);
    let model = config.init(&device);
    write_checkpoint(&model, &fields, None, DType::BF16, dir)?;
    Ok(())
}

fn measure(
    checkpoint: &Checkpoint,
    rows: usize,
    tokens: usize,
    dtype: DType,
    recompute: bool,
    method: &str,
) -> Result<(), Box<dyn Error>> {
    let device = Device::flex().autodiff();
    device.seed(1);
    let mut model = checkpoint.load(&device, dtype)?;
    let base_kib = Held::of(&model).bytes() / 1024;
    let sizes = match &model {
        LanguageModel::Decoder(decoder) => decoder.config().clone(),
        _ => return Err("only decoders with seven projections are measured".into()),
    };
    let ranks = attach(&mut model, method)?;
    let trainable = trainable(&model);
    let examples: Vec<Example> = (0..rows)
        .map(|row| example(row, tokens, sizes.vocab_size))
        .collect();
    let settings = TrainConfig {
        max_steps: Some(STEPS),
        batch_size: rows,
        learning_rate: 1e-4,
        recompute,
        ..TrainConfig::default()
    };
    let rate = rate();
    let mut steps = Steps::default();
    Trainer::new(&settings, &examples)
        .with_adapter_schedule(ranks.as_ref().map(|ranks| ranks as &dyn AdapterSchedule))
        .run(model, &NextToken, &mut steps)?;
    let mut seconds: Vec<f64> = steps
        .ends
        .windows(2)
        .map(|ends| ends[1] - ends[0])
        .collect();
    seconds.sort_by(f64::total_cmp);
    println!(
        "seconds={:.4} peak_kib={} trainable={trainable} loss={:.4} floor={:.4} base_kib={base_kib}",
        seconds[seconds.len() / 2],
        peak_kib()?,
        steps.first_loss,
        multiply_adds(&sizes, rows, tokens) / rate,
    );
    Ok(())
}

/// The method's adapters with the settings that `tests/bench/pytorch_train.py` has, and AdaLoRA's
/// budget, which falls from the second step on.
fn attach(
    model: &mut LanguageModel,
    method: &str,
) -> Result<Option<RankAllocator>, Box<dyn Error>> {
    const NAME: &str = "default";
    let targets = Targets::suffixes(PROJECTIONS);
    let lora = LoraConfig::new(RANK, ALPHA).with_targets(targets.clone());
    match method {
        "lora" => lora.attach(model, NAME)?,
        "dora" => lora.with_dora(true).attach(model, NAME)?,
        "adalora" => {
            let config = AdaLoraConfig::new(RANK + RANK / 2, RANK, ALPHA)
                .with_steps(1, 1, 1)
                .with_targets(targets);
            config.attach(model, NAME)?;
            return Ok(Some(RankAllocator::new(&config, NAME, STEPS)?));
        }
        "vera" => VeraConfig::new(256)
            .with_targets(targets)
            .attach(model, NAME)?,
        "loha" => LoHaConfig::new(RANK, ALPHA)
            .with_targets(targets)
            .attach(model, NAME)?,
        "oft" => OftConfig::new(Blocks::Size(32))
            .with_targets(targets)
            .attach(model, NAME)?,
        other => {
            let all = "lora, dora, adalora, vera, loha and oft";
            return Err(format!("no method `{other}`; there are {all}").into());
        }
    };
    Ok(None)
}

/// Tokens that do not repeat soon, every one but the first a target.
fn example(row: usize, tokens: usize, vocabulary: usize) -> Example {
    let id = |i: usize| ((i * 7919 + 13) % vocabulary) as u32;
    let ids = (0..tokens).map(|i| id(row * tokens + i)).collect();
    Example::new(ids, (0..tokens).map(|i| i > 0).collect())
}

/// Of a step: the forward products, those of the inputs' gradients, and attention's below the
/// diagonal; the adapters' own are some percent more.
fn multiply_adds(of: &DecoderConfig, rows: usize, tokens: usize) -> f64 {
    let queries = of.n_heads * of.head_dim;
    let keys = of.n_kv_heads * of.head_dim;
    let block = of.d_model * (2 * queries + 2 * keys + 3 * of.d_ff);
    let weights = of.n_layers * block + of.d_model * of.vocab_size;
    // Two products forward and four backward of half a square.
    let attention = of.n_layers * queries * tokens * 3;
    rows as f64 * tokens as f64 * (2.0 * weights as f64 + attention as f64)
}

/// Multiply-adds a second in a large product of f32 matrices, the best of some.
fn rate() -> f64 {
    const SIZE: usize = 1536;
    let device = Device::flex();
    let random = || Tensor::<2>::random([SIZE, SIZE], Distribution::Default, &device);
    let (a, b) = (random(), random());
    let seconds = (0..5)
        .map(|_| {
            let started = Instant::now();
            let product = peft_kernels::matmul(a.clone(), b.clone());
            std::hint::black_box(product.into_data());
            started.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min);
    (SIZE * SIZE * SIZE) as f64 / seconds
}

/// When steps ended, in seconds.
struct Steps {
    begun: Instant,
    ends: Vec<f64>,
    first_loss: f64,
}

impl Default for Steps {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            ends: Vec::new(),
            first_loss: f64::NAN,
        }
    }
}

impl<M: Module> Observer<M, EvalReport> for Steps {
    fn on_step(&mut self, report: &StepReport, _: &Progress<'_, M>) -> Result<(), TrainError> {
        self.ends.push(self.begun.elapsed().as_secs_f64());
        if report.step == 1 {
            self.first_loss = report.loss;
        }
        Ok(())
    }

    fn on_eval(&mut self, _: &EvalReport, _: bool, _: &Progress<'_, M>) -> Result<(), TrainError> {
        Ok(())
    }
}
