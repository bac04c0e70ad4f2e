//! [`write_checkpoint`]: a model as an HF checkpoint directory.

use std::fs;
use std::path::Path;

use burn::module::Module;
use serde_json::{Map, Value};

use super::file::io;
use super::{CheckpointError, Precision};
use crate::Companions;
use crate::tensor_file::{stored_tensors, write_tensors};

/// Write `model` to `dir`: weights in `precision`, `config.json` from `fields`, and the files that
/// go with it unchanged.
///
/// Each file is written beside its place and renamed, but the directory is filled in place; where
/// it is to be there whole or not at all, write to a [`peft_files::NewDir`]. Adapters must have
/// been merged.
///
/// # Errors
///
/// A [`CheckpointError`].
pub fn write_checkpoint<M: Module>(
    model: &M,
    fields: &Map<String, Value>,
    companions: Option<&Companions>,
    precision: impl Into<Precision>,
    dir: &Path,
) -> Result<(), CheckpointError> {
    let precision = precision.into();
    fs::create_dir_all(dir).map_err(|source| io("create", dir, source))?;
    let tensors = stored_tensors(model, |_| true).into_iter();
    let tensors = tensors.map(|(path, tensor)| {
        let dtype = precision.of(&path);
        (path, tensor.in_dtype(dtype))
    });
    let weights = dir.join("model.safetensors");
    write_tensors(&weights, tensors, []).map_err(|source| io("write", &weights, source))?;

    let name = precision.named_in(fields);
    let mut fields = fields.clone();
    fields.remove("torch_dtype");
    fields.insert("dtype".into(), name.into());
    let path = dir.join("config.json");
    let mut json = serde_json::to_vec_pretty(&fields).map_err(|source| CheckpointError::Json {
        path: path.clone(),
        source,
    })?;
    json.push(b'\n');
    peft_files::replace(&path, &json).map_err(|source| io("write", &path, source))?;
    companions.map_or(Ok(()), |companions| companions.copy_all(dir))
}
