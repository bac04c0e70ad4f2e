//! The tensors of a checkpoint directory: where they are, and their bytes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use burn::tensor::{DType, TensorData};
use safetensors::tensor::{Dtype, Metadata};
use serde_json::Value;

use super::{CheckpointError, CheckpointProblem};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// As large as the header of a safetensors file may be.
const MAX_HEADER: u64 = 100_000_000;

/// Where a tensor is.
#[derive(Debug, Clone)]
pub(super) struct TensorPlace {
    file: PathBuf,
    start: u64,
    len: usize,
    pub(super) shape: Vec<usize>,
    pub(super) dtype: Dtype,
}

/// All tensors of a checkpoint directory by key.
pub(super) fn tensor_places(dir: &Path) -> Result<BTreeMap<String, TensorPlace>, CheckpointError> {
    let mut places = BTreeMap::new();
    let mut problems = Vec::new();
    for file in weight_files(dir)? {
        for (key, place) in read_header(&file)? {
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

fn weight_files(dir: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
    let index = dir.join(INDEX);
    if index.is_file() {
        let text = fs::read_to_string(&index).map_err(|source| io("read", &index, source))?;
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
        let mut files: Vec<PathBuf> = Vec::new();
        for name in map.values() {
            let name = name
                .as_str()
                .filter(|name| !name.contains(['/', '\\']) && name.ends_with(".safetensors"))
                .ok_or_else(|| malformed(format!("{name} is no name of a shard beside it")))?;
            let file = dir.join(name);
            if !files.contains(&file) {
                files.push(file);
            }
        }
        return Ok(files);
    }
    let single = dir.join(SINGLE);
    if single.is_file() {
        return Ok(vec![single]);
    }
    Err(CheckpointError::NoWeights {
        dir: dir.into(),
        has_pickle: dir.join("pytorch_model.bin").is_file()
            || dir.join("pytorch_model.bin.index.json").is_file(),
    })
}

fn read_header(path: &Path) -> Result<Vec<(String, TensorPlace)>, CheckpointError> {
    let malformed = |reason: String| CheckpointError::Malformed {
        path: path.into(),
        reason,
    };
    let mut file = File::open(path).map_err(|source| io("read", path, source))?;
    let size = file
        .metadata()
        .map_err(|source| io("read", path, source))?
        .len();
    let mut length = [0; 8];
    file.read_exact(&mut length)
        .map_err(|_| malformed("it is shorter than 8 bytes".into()))?;
    let header_len = u64::from_le_bytes(length);
    if header_len > MAX_HEADER || header_len > size.saturating_sub(8) {
        return Err(malformed(format!(
            "its header claims {header_len} bytes of a file of {size}"
        )));
    }
    let mut header = vec![0; header_len as usize];
    file.read_exact(&mut header)
        .map_err(|source| io("read", path, source))?;
    let metadata: Metadata =
        serde_json::from_slice(&header).map_err(|error| malformed(error.to_string()))?;
    let data = 8 + header_len;
    metadata
        .tensors()
        .into_iter()
        .map(|(key, info)| {
            let (start, end) = info.data_offsets;
            let bits = info
                .shape
                .iter()
                .try_fold(info.dtype.bitsize(), |product, n| product.checked_mul(*n));
            let len = end.checked_sub(start);
            let fits = len.is_some()
                && bits == len.and_then(|len| len.checked_mul(8))
                && data.checked_add(end as u64).is_some_and(|end| end <= size);
            if !fits {
                return Err(malformed(format!(
                    "`{key}` of shape {:?} does not lie at bytes {start} to {end} of {size}",
                    info.shape
                )));
            }
            let place = TensorPlace {
                file: path.into(),
                start: data + start as u64,
                len: end - start,
                shape: info.shape.clone(),
                dtype: info.dtype,
            };
            Ok((key, place))
        })
        .collect()
}

/// The dtype of this project for one of a file.
pub(super) fn run_dtype(dtype: Dtype) -> Option<DType> {
    match dtype {
        Dtype::F32 => Some(DType::F32),
        Dtype::F16 => Some(DType::F16),
        Dtype::BF16 => Some(DType::BF16),
        _ => None,
    }
}

impl TensorPlace {
    /// The tensor's values, transposed if asked, in its own dtype.
    pub(super) fn read(&self, transposed: bool) -> Result<TensorData, CheckpointError> {
        let failed = |source| io("read", &self.file, source);
        let mut file = File::open(&self.file).map_err(failed)?;
        file.seek(SeekFrom::Start(self.start)).map_err(failed)?;
        let mut bytes = vec![0; self.len];
        file.read_exact(&mut bytes).map_err(failed)?;
        let dtype = run_dtype(self.dtype).ok_or_else(|| CheckpointError::Malformed {
            path: self.file.clone(),
            reason: format!("{:?} is not read", self.dtype),
        })?;
        let mut shape = self.shape.clone();
        if let (true, &[rows, columns]) = (transposed, shape.as_slice()) {
            bytes = transpose(&bytes, rows, columns, dtype.size());
            shape.reverse();
        }
        Ok(TensorData::from_bytes_vec(bytes, shape, dtype))
    }
}

/// A `[rows, columns]` matrix of elements of `size` bytes as `[columns, rows]`.
pub(super) fn transpose(bytes: &[u8], rows: usize, columns: usize, size: usize) -> Vec<u8> {
    /// Rows and columns of a tile: both sides of it stay in the first cache.
    const TILE: usize = 32;
    let mut out = vec![0; bytes.len()];
    for row_tile in (0..rows).step_by(TILE) {
        for column_tile in (0..columns).step_by(TILE) {
            for row in row_tile..(row_tile + TILE).min(rows) {
                for column in column_tile..(column_tile + TILE).min(columns) {
                    let from = (row * columns + column) * size;
                    let to = (column * rows + row) * size;
                    out[to..to + size].copy_from_slice(&bytes[from..from + size]);
                }
            }
        }
    }
    out
}

pub(super) fn io(action: &'static str, path: &Path, source: std::io::Error) -> CheckpointError {
    CheckpointError::Io {
        action,
        path: path.into(),
        source,
    }
}
