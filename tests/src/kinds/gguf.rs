//! GGUF files: their blocks, and those that are checkpoints with tokenizers.

use std::path::Path;

use burn::tensor::{DType, Device};
use peft_mutate::Kind;
use peft_store::{Checkpoint, Quantise};
use peft_train::TextTokenizer;

use super::{files, goldens};

const BLOCKS: &str = "blocks.gguf";
/// One with a vocabulary of bytes, one of SentencePiece's, one that is transposed, one with factors
/// of its rotation.
const MODELS: [&str; 4] = [
    "llama_q4_0.gguf",
    "gemma2_q4_1.gguf",
    "gpt2_q8_0.gguf",
    "llama3_bf16.gguf",
];

/// GGUF files of each type of tensor and of metadata, whose blocks are unpacked.
pub fn gguf() -> Kind<'static> {
    let sound = vec![files(&goldens().join("gguf"), &[BLOCKS])];
    Kind::new("gguf", sound, |dir, _| {
        let Ok(opened) = peft_gguf::open(&dir.join(BLOCKS)) else {
            return false;
        };
        for place in &opened.tensors {
            let ty = place.ty();
            let read = place.chunks(|bytes| {
                let blocks = bytes.len() / ty.block_bytes();
                ty.unpack(bytes, &mut vec![0.0; blocks * ty.block_values()]);
                true
            });
            read.expect("what is told of is there");
        }
        true
    })
}

/// GGUF files as checkpoints, loaded, with their tokenizers.
pub fn gguf_checkpoints(device: &Device) -> Kind<'static> {
    let device = device.clone();
    let sound = MODELS.map(|name| files(&goldens().join("gguf"), &[name]));
    Kind::new("gguf checkpoint", sound.into(), move |dir, of| {
        used(&dir.join(MODELS[of]), &device)
    })
}

fn used(path: &Path, device: &Device) -> bool {
    let Ok(checkpoint) = Checkpoint::open(path) else {
        return false;
    };
    let folder = checkpoint.folder();
    let tokenizer = TextTokenizer::from_folders(&folder, &folder, &folder);
    let encoded = tokenizer.is_ok_and(|tokenizer| {
        let ids = tokenizer.encode_prompt("<s> It's 2024,\n naïve 🦀 \u{2581}");
        ids.is_ok_and(|ids| tokenizer.decode(&ids).is_ok())
    });
    let loaded = checkpoint.load(device, DType::F32).is_ok();
    let packed = checkpoint.with_quantise(Quantise::AsStored);
    let packed = packed.load(device, DType::F32).is_ok();
    encoded && loaded && packed
}
