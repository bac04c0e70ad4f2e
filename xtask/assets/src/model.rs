//! The bundled model: a fresh Llama, pre-trained by this project's own command.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::Outcome;
use crate::vocabulary::{BOS, EOS, VOCABULARY};

/// The flags of `peft train`.
const RECIPE: &str = "--method full --epochs 2 --batch-size 64 --lr 3e-3 --schedule cosine --warmup 0.03 \
                      --weight-decay 0.05 --max-length 64 --seed 0";

pub(crate) fn pretrain(corpus: &Path, work: &Path, model: &Path) -> Outcome<()> {
    let fresh = work.join("fresh");
    fs::create_dir_all(&fresh)?;
    let config = json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": VOCABULARY,
        "hidden_size": 192,
        "intermediate_size": 512,
        "num_hidden_layers": 3,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "hidden_act": "silu",
        "max_position_embeddings": 256,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": true,
        "attention_bias": false,
        "mlp_bias": false,
        "initializer_range": 0.02,
        "bos_token_id": 0,
        "eos_token_id": 1,
    });
    fs::write(fresh.join("config.json"), format!("{config:#}\n"))?;
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        fs::copy(model.join(file), fresh.join(file))?;
    }
    let out = work.join("model");
    let status = Command::new("cargo")
        .args(["run", "--release", "--package", "peft-cli", "--", "train"])
        .args(["--model".as_ref(), fresh.as_os_str()])
        .args(["--train".as_ref(), corpus.as_os_str()])
        .args(["--out".as_ref(), out.as_os_str()])
        .args(["--dtype", "bf16"])
        .args(RECIPE.split_whitespace())
        .status()?;
    if !status.success() {
        return Err(format!("pre-training ended with {status}").into());
    }
    for file in [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ] {
        fs::copy(out.join(file), model.join(file))?;
    }
    println!("{}: {BOS} and {EOS} are ids 0 and 1", model.display());
    Ok(())
}
