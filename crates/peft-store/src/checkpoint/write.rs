//! [`write_checkpoint`]: a model as an HF checkpoint directory.

use std::fs;
use std::path::Path;

use burn::module::Module;
use burn::tensor::DType;
use serde_json::{Map, Value};

use super::CheckpointError;
use super::file::io;
use crate::tensor_file::{stored_tensors, write_tensors};

/// Files that go with a model unchanged.
const COMPANIONS: [&str; 8] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "generation_config.json",
    "chat_template.jinja",
    "LICENSE",
];

/// Write `model` to `dir` in `dtype`: weights, `config.json` from `fields`, and the files of `companions` that go with a model.
///
/// Each file is written beside and renamed, but the directory is filled in place; write to a new one and rename it when it has been checked. Adapters must have been merged.
///
/// # Errors
///
/// A [`CheckpointError`].
pub fn write_checkpoint<M: Module>(
    model: &M,
    fields: &Map<String, Value>,
    companions: Option<&Path>,
    dtype: DType,
    dir: &Path,
) -> Result<(), CheckpointError> {
    fs::create_dir_all(dir).map_err(|source| io("create", dir, source))?;
    let dtype = match dtype {
        DType::BF16 | DType::F16 => dtype,
        _ => DType::F32,
    };
    let tensors = stored_tensors(model, |_| true).into_iter();
    let tensors = tensors.map(|(path, tensor)| (path, tensor.in_dtype(dtype)));
    let weights = dir.join("model.safetensors");
    write_tensors(&weights, tensors).map_err(|source| io("write", &weights, source))?;

    let mut fields = fields.clone();
    let name = match dtype {
        DType::BF16 => "bfloat16",
        DType::F16 => "float16",
        _ => "float32",
    };
    fields.remove("torch_dtype");
    fields.insert("dtype".into(), name.into());
    let path = dir.join("config.json");
    let mut json = serde_json::to_vec_pretty(&fields).map_err(|source| CheckpointError::Json {
        path: path.clone(),
        source,
    })?;
    json.push(b'\n');
    let beside = dir.join(".config.json.part");
    fs::write(&beside, json).map_err(|source| io("write", &beside, source))?;
    fs::rename(&beside, &path).map_err(|source| io("write", &path, source))?;

    for name in COMPANIONS {
        if let Some(from) = companions
            .map(|source| source.join(name))
            .filter(|p| p.is_file())
        {
            let to = dir.join(name);
            fs::copy(&from, &to).map_err(|source| io("copy", &from, source))?;
        }
    }
    Ok(())
}
