//! Greedy continuations of prompts by a checkpoint, measured alone in their process:
//! `bench_generate DIR PROMPTS NEW DTYPE` continues `PROMPTS` prompts of 32 tokens together by
//! `NEW` tokens each, with the base in `DTYPE` (f32 or bf16), and prints
//! `seconds=S peak_kib=N trainable=0 tokens=A,B,..`, the new tokens of all.
//!
//! `seconds` is the shortest of three times, the reading of the prompts included.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::{DType, Device};
use peft_store::Checkpoint;
use peft_tests::measured::peak_kib;
use peft_train::{GenerateConfig, generate_all};

const PROMPT: usize = 32;
const TIMES: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let [dir, prompts, new, dtype] = args[..] else {
        return Err("bench_generate DIR PROMPTS NEW DTYPE".into());
    };
    let dtype = match dtype {
        "f32" => DType::F32,
        "bf16" => DType::BF16,
        other => return Err(format!("no dtype `{other}`; there are f32 and bf16").into()),
    };
    let (prompts, new) = (prompts.parse()?, new.parse()?);
    let shown = peft_kernels::on_threads(None, || {
        measure(Path::new(dir), prompts, new, dtype).map_err(|error| error.to_string())
    })?;
    println!("{}", shown?);
    Ok(())
}

fn measure(dir: &Path, prompts: usize, new: usize, dtype: DType) -> Result<String, Box<dyn Error>> {
    let device = Device::flex();
    let checkpoint = Checkpoint::open(dir)?;
    let model = checkpoint.load(&device, dtype)?.valid();
    let vocabulary = checkpoint.config().vocab_size();
    let id = |i: usize| ((i * 7919 + 13) % vocabulary) as u32;
    let prompts: Vec<Vec<u32>> = (0..prompts)
        .map(|row| (row * PROMPT..(row + 1) * PROMPT).map(id).collect())
        .collect();
    let prompts: Vec<&[u32]> = prompts.iter().map(Vec::as_slice).collect();
    let config = GenerateConfig {
        max_new_tokens: new,
        ..GenerateConfig::default()
    };
    let (mut seconds, mut tokens) = (f64::INFINITY, Vec::new());
    for _ in 0..TIMES {
        let started = Instant::now();
        tokens = generate_all(&model, &prompts, &config, |_, _| ())?;
        seconds = seconds.min(started.elapsed().as_secs_f64());
    }
    let tokens: Vec<String> = tokens.iter().flatten().map(u32::to_string).collect();
    let (peak, tokens) = (peak_kib()?, tokens.join(","));
    Ok(format!(
        "seconds={seconds:.4} peak_kib={peak} trainable=0 tokens={tokens}"
    ))
}
