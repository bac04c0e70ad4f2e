//! The tensors of a checkpoint directory: in which files they are.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use peft_safetensors::{Hold, TensorPlace, open_with};
use serde_json::{Map, Value};

use super::CheckpointError;
use super::index::shards;
use crate::TensorProblem;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// The end of an index's name.
const INDEX_END: &str = ".safetensors.index.json";
/// The field of `config.json` that names the file of weights or its index.
const NAMED: &str = "transformers_weights";
/// As many shards as are held open; of more, each is opened when it is read.
const MAX_HELD: usize = 64;

/// All tensors of a checkpoint directory by key.
pub(super) fn tensor_places(
    dir: &Path,
    fields: &Map<String, Value>,
) -> Result<BTreeMap<String, TensorPlace>, CheckpointError> {
    let mut places: BTreeMap<String, TensorPlace> = BTreeMap::new();
    let mut problems = Vec::new();
    let files = weight_files(dir, fields)?;
    let hold = match files.len() <= MAX_HELD {
        true => Hold::Open,
        false => Hold::Reopen,
    };
    for file in files {
        regular(&file)?;
        for (key, place) in open_with(&file, hold)?.tensors {
            // Two that say the same may be there; of two that do not, none is known to be meant.
            if let Some(other) = places.get(&key)
                && (other.shape() != place.shape()
                    || other.dtype() != place.dtype()
                    || place.differs_from(other)?)
            {
                problems.push(TensorProblem::Twice { key: key.clone() });
            }
            places.insert(key, place);
        }
    }
    if problems.is_empty() {
        return Ok(places);
    }
    Err(CheckpointError::Tensors {
        dir: dir.into(),
        problems,
    })
}

/// The files with the weights, in the reference's order: the one that the config names; one file
/// before an index with its shards, which may be left over.
fn weight_files(dir: &Path, fields: &Map<String, Value>) -> Result<Vec<PathBuf>, CheckpointError> {
    match fields.get(NAMED) {
        None | Some(Value::Null) => {}
        Some(name) => {
            let beside = name.as_str().filter(|name| !name.contains(['/', '\\']));
            return match beside {
                Some(name) if name.ends_with(".safetensors") => Ok(vec![dir.join(name)]),
                Some(name) if name.ends_with(INDEX_END) => shards(dir, name),
                _ => Err(CheckpointError::Field {
                    field: NAMED.into(),
                    found: name.to_string(),
                    expected: "a safetensors file or its index, beside it".into(),
                }),
            };
        }
    }
    let single = dir.join(SINGLE);
    if regular(&single)? {
        return Ok(vec![single]);
    }
    if regular(&dir.join(INDEX))? {
        return shards(dir, INDEX);
    }
    Err(CheckpointError::NoWeights {
        dir: dir.into(),
        has_pickle: dir.join("pytorch_model.bin").is_file()
            || dir.join("pytorch_model.bin.index.json").is_file(),
    })
}

/// Whether there is a file. What is there and cannot be one, or cannot be asked, is an error: a
/// directory, a pipe, a circle of links, a folder that may not be entered.
pub(super) fn regular(path: &Path) -> Result<bool, CheckpointError> {
    let wrong = |kind: ErrorKind, why: &str| Err(io("read", path, std::io::Error::new(kind, why)));
    match fs::metadata(path) {
        Ok(found) if found.is_file() => Ok(true),
        Ok(found) if found.is_dir() => wrong(
            ErrorKind::IsADirectory,
            "it is a directory, where a file should be",
        ),
        Ok(_) => wrong(ErrorKind::InvalidInput, "it is no regular file"),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(source) => Err(io("read", path, source)),
    }
}

pub(super) fn io(action: &'static str, path: &Path, source: std::io::Error) -> CheckpointError {
    CheckpointError::Io {
        action,
        path: path.into(),
        source,
    }
}
