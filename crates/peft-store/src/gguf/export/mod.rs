//! Models and LoRA adapters as the GGUF files that llama.cpp reads.

mod adapter;
mod config;
mod folded;
mod tokenizer;
mod weights;

use std::path::Path;

use peft_files::Folder;
use peft_gguf::{TensorType, write};
use peft_models::LanguageModel;
use serde_json::{Map, Value};

pub use self::adapter::write_gguf_adapter;
pub use self::folded::with_gguf_adapter;
use self::weights::Tensor;
use super::names::Names;
use crate::CheckpointError;
use crate::tensor_file::stored_tensors;

/// Write a decoder to a GGUF file: its config by `fields`, those of its `config.json`, its
/// tokenizer and chat template from a folder's files, if there are any.
///
/// Matrices are stored as `ty`; with `Q4_0` embeddings and the output layer are `Q8_0`. Vectors are
/// f32, and so is what has rows of no whole blocks, in f16 as ggml has it. Adapters must have been
/// merged.
///
/// # Errors
///
/// [`CheckpointError::NotGguf`] for what the format, or llama.cpp, has no words for: then nothing
/// is written; [`CheckpointError::Io`].
pub fn write_gguf(
    model: &LanguageModel,
    fields: &Map<String, Value>,
    folder: &Folder,
    ty: TensorType,
    path: &Path,
) -> Result<(), CheckpointError> {
    let config = model.config();
    let (architecture, mut metadata, extra) = config::metadata(&config, fields, ty)?;
    tokenizer::put(&mut metadata, folder, config.vocab_size())?;
    let names = Names::of(architecture);
    let (heads, kv_heads) = config::heads(&config);
    let mut tensors: Vec<(String, Tensor)> = Vec::new();
    for (name, values) in extra {
        tensors.push((name.to_owned(), Tensor::of_values(values)));
    }
    for (key, stored) in stored_tensors(model, |_| true) {
        let name = names.name(&key).ok_or_else(|| CheckpointError::NotGguf {
            what: format!("`{key}`, which {architecture} has no tensor for"),
        })?;
        let layout = super::Layout::of(architecture, &name, heads, kv_heads);
        let tensor = Tensor::new(&name, stored, layout, ty);
        tensors.push((name, tensor));
    }
    write(path, &metadata, tensors).map_err(|source| CheckpointError::Io {
        action: "write",
        path: path.into(),
        source,
    })
}
