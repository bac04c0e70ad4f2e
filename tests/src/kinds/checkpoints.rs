//! Checkpoint directories.

use std::path::Path;

use burn::tensor::{DType, Device};
use peft_mutate::Kind;
use peft_store::{Checkpoint, CheckpointConfig, CheckpointError, Quantise};

use super::{files, goldens};

const FILES: [&str; 5] = [
    "config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
];

/// One of each family, in one file and in shards, and quantised ones.
const DIRS: [&str; 10] = [
    "models/gqa",
    "models/gpt2",
    "models/gemma3",
    "models/llama_yarn",
    "models/llama_sharded_bf16",
    "encoders/bert_sequence",
    "encoders/modernbert",
    "encoders/distilbert",
    "bnb/nf4_double",
    "bnb/int8",
];

/// Checkpoint directories, loaded.
pub fn checkpoints(device: &Device) -> Kind<'static> {
    let device = device.clone();
    let sound = DIRS.map(|dir| files(&goldens().join(dir), &FILES));
    Kind::new("checkpoint", sound.into(), move |dir, _| {
        used(dir, &device).is_ok()
    })
}

fn used(dir: &Path, device: &Device) -> Result<(), CheckpointError> {
    let checkpoint = Checkpoint::open(dir)?;
    checkpoint.has_weights();
    checkpoint.tensors()?;
    checkpoint.dtype()?;
    checkpoint.left_alone()?;
    checkpoint.strangers(device)?;
    match checkpoint.config() {
        CheckpointConfig::LanguageModel(_) => {
            let dense = checkpoint.load(device, DType::F32)?;
            let packed = checkpoint.clone().with_quantise(Quantise::AsStored);
            // What is read as it lies is what can be read at all.
            drop((dense, packed.load(device, DType::F32)?));
        }
        CheckpointConfig::Encoder(_) => {
            let labels = checkpoint.outputs()?.unwrap_or(2);
            drop(checkpoint.load_encoder(device, DType::F32)?);
            drop(checkpoint.load_classifier(labels, device, DType::F32)?);
        }
    }
    Ok(())
}
