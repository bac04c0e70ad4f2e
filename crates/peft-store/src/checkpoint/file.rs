//! The tensors of a checkpoint directory: in which files they are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use peft_safetensors::{TensorPlace, open};
use serde_json::Value;

use super::{CheckpointError, CheckpointProblem};
use crate::LARGEST_JSON;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// All tensors of a checkpoint directory by key.
pub(super) fn tensor_places(dir: &Path) -> Result<BTreeMap<String, TensorPlace>, CheckpointError> {
    let mut places = BTreeMap::new();
    let mut problems = Vec::new();
    for file in weight_files(dir)? {
        for (key, place) in open(&file)?.tensors {
            if places.insert(key.clone(), place).is_some() {
                problems.push(CheckpointProblem::Twice { key });
            }
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

/// The files with the weights. One file is taken before an index with its shards, as transformers does: the index may be left over.
fn weight_files(dir: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
    let single = dir.join(SINGLE);
    if single.is_file() {
        return Ok(vec![single]);
    }
    let index = dir.join(INDEX);
    if index.is_file() {
        let text = peft_files::read_text(&index, LARGEST_JSON)
            .map_err(|source| io("read", &index, source))?;
        let value: Value = serde_json::from_str(&text).map_err(|source| CheckpointError::Json {
            path: index.clone(),
            source,
        })?;
        let malformed = |reason: String| CheckpointError::Malformed {
            path: index.clone(),
            reason,
        };
        let map = value["weight_map"]
            .as_object()
            .ok_or_else(|| malformed("it has no `weight_map` object".into()))?;
        let mut files = BTreeSet::new();
        for name in map.values() {
            let name = name
                .as_str()
                .filter(|name| !name.contains(['/', '\\']) && name.ends_with(".safetensors"))
                .ok_or_else(|| malformed(format!("{name} is no name of a shard beside it")))?;
            files.insert(dir.join(name));
        }
        return Ok(files.into_iter().collect());
    }
    Err(CheckpointError::NoWeights {
        dir: dir.into(),
        has_pickle: dir.join("pytorch_model.bin").is_file()
            || dir.join("pytorch_model.bin.index.json").is_file(),
    })
}

pub(super) fn io(action: &'static str, path: &Path, source: std::io::Error) -> CheckpointError {
    CheckpointError::Io {
        action,
        path: path.into(),
        source,
    }
}
