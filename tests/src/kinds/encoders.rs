//! Adapter directories of encoders and of classifiers.

use std::fs;
use std::path::Path;

use burn::tensor::{DType, Device};
use peft_models::{TextClassifier, TextEncoder, TokenTagger};
use peft_mutate::Kind;
use peft_store::{Checkpoint, CheckpointError};

use super::adapters::{FILES, used};
use super::{files, goldens};

/// With and without a head, whose classes it trains; each method.
const DIRS: [&str; 9] = [
    "adapters/bert_lora_features",
    "adapters/bert_lora_fresh_head",
    "adapters/bert_lora_multi_label",
    "adapters/bert_lora_token",
    "adapters/roberta_lora_sequence",
    "adapters/modernbert_lora_sequence",
    "adapters/distilbert_lora_all_linear",
    "prompts/bert_mlp",
    "prefixes/bert_token",
];

enum Base {
    Encoder(TextEncoder),
    Classifier(TextClassifier),
    Tagger(TokenTagger),
}

/// The model that the golden adapter of this directory is for.
fn base(dir: &Path, device: &Device) -> Result<Base, CheckpointError> {
    let path = fs::read_to_string(dir.join("base.txt")).expect("the golden is there");
    let checkpoint = Checkpoint::open(goldens().join("models").join(path.trim()))?;
    let labels = checkpoint.outputs()?.unwrap_or(3);
    Ok(match dir.file_name().and_then(|name| name.to_str()) {
        Some("bert_lora_features") => Base::Encoder(checkpoint.load_encoder(device, DType::F32)?),
        Some(name) if name.contains("token") => {
            Base::Tagger(checkpoint.load_tagger(labels, device, DType::F32)?.model)
        }
        _ => Base::Classifier(
            checkpoint
                .load_classifier(labels, device, DType::F32)?
                .model,
        ),
    })
}

/// Adapter directories for encoders and classifiers, opened and attached.
pub fn encoder_adapters(device: &Device) -> Kind<'static> {
    let sound = DIRS.map(|dir| files(&goldens().join(dir), &FILES));
    let bases = DIRS.map(|dir| base(&goldens().join(dir), device).expect("the base loads"));
    Kind::new("adapter of an encoder", sound.into(), move |dir, of| {
        let used = match &bases[of] {
            Base::Encoder(model) => used(dir, model.clone()),
            Base::Classifier(model) => used(dir, model.clone()),
            Base::Tagger(model) => used(dir, model.clone()),
        };
        used.is_ok()
    })
}
