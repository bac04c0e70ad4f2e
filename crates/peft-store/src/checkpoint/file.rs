//! The tensors of a checkpoint directory: where they are, and their bytes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use burn::tensor::{Bytes, DType, TensorData};
use half::{bf16, f16};
use safetensors::tensor::{Dtype, Metadata};
use serde_json::Value;

use super::{CheckpointError, CheckpointProblem};
use crate::tensor_file::scatter;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// As large as the header of a safetensors file may be.
const MAX_HEADER: u64 = 100_000_000;

/// Where a tensor is.
#[derive(Debug, Clone)]
pub(super) struct TensorPlace {
    /// Its key in the file.
    pub(super) key: String,
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
                key: key.clone(),
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

/// Bytes of a file that are read at once: what loading takes beside the model.
const CHUNK: usize = 4 << 20;

impl TensorPlace {
    /// The tensor's values in `dtype`, transposed if asked. They are read and converted piece by piece, straight into their place.
    pub(super) fn read(
        &self,
        transposed: bool,
        dtype: DType,
    ) -> Result<TensorData, CheckpointError> {
        let from = run_dtype(self.dtype).ok_or_else(|| self.malformed("is not read"))?;
        let mut shape = self.shape.clone();
        let (rows, columns) = match (transposed, shape.as_slice()) {
            (true, &[rows, columns]) => (rows, columns),
            _ => (1, shape.iter().product()),
        };
        let size = dtype.size();
        // Of the elements' alignment: a backend would copy bytes of another.
        let mut out = match size {
            2 => Bytes::from_elems(vec![0u16; rows * columns]),
            _ => Bytes::from_elems(vec![0u32; rows * columns]),
        };
        let mut at = 0; // elements read
        self.chunks(|bytes| {
            let bytes = converted(bytes, from, dtype);
            if rows == 1 {
                out[at * size..][..bytes.len()].copy_from_slice(&bytes);
            } else {
                scatter(&bytes, at, rows, columns, size, &mut out);
            }
            at += bytes.len() / size;
            true
        })?;
        if rows > 1 || transposed {
            shape.reverse();
        }
        Ok(TensorData::from_bytes(out, shape, dtype))
    }

    /// Whether another tensor of the same shape and dtype has other values.
    pub(super) fn differs_from(&self, other: &Self) -> Result<bool, CheckpointError> {
        let mut file = other.open()?;
        let mut theirs = Vec::new();
        let (mut differs, mut failure) = (false, None);
        self.chunks(|ours| {
            theirs.resize(ours.len(), 0);
            failure = file.read_exact(&mut theirs).err();
            differs = theirs != ours;
            failure.is_none() && !differs
        })?;
        match failure {
            Some(source) => Err(io("read", &other.file, source)),
            None => Ok(differs),
        }
    }

    /// The bytes in pieces, for as long as `each` wants more.
    fn chunks(&self, mut each: impl FnMut(&[u8]) -> bool) -> Result<(), CheckpointError> {
        let mut file = self.open()?;
        let mut bytes = Vec::new();
        let mut left = self.len;
        while left > 0 {
            bytes.resize(left.min(CHUNK), 0);
            file.read_exact(&mut bytes)
                .map_err(|source| io("read", &self.file, source))?;
            left -= bytes.len();
            if !each(&bytes) {
                break;
            }
        }
        Ok(())
    }

    fn open(&self) -> Result<File, CheckpointError> {
        let failed = |source| io("read", &self.file, source);
        let mut file = File::open(&self.file).map_err(failed)?;
        file.seek(SeekFrom::Start(self.start)).map_err(failed)?;
        Ok(file)
    }

    fn malformed(&self, what: &str) -> CheckpointError {
        CheckpointError::Malformed {
            path: self.file.clone(),
            reason: format!("`{}` of {:?} {what}", self.key, self.dtype),
        }
    }
}

/// Elements of one format in another.
fn converted(bytes: &[u8], from: DType, to: DType) -> Cow<'_, [u8]> {
    if from == to {
        return Cow::Borrowed(bytes);
    }
    let wide: Vec<f32> = match from {
        DType::F16 => bytes
            .chunks_exact(2)
            .map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32())
            .collect(),
        DType::BF16 => bytes
            .chunks_exact(2)
            .map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32())
            .collect(),
        _ => bytes
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect(),
    };
    Cow::Owned(match to {
        DType::F16 => wide
            .iter()
            .flat_map(|value| f16::from_f32(*value).to_le_bytes())
            .collect(),
        DType::BF16 => wide
            .iter()
            .flat_map(|value| bf16::from_f32(*value).to_le_bytes())
            .collect(),
        _ => wide.iter().flat_map(|value| value.to_le_bytes()).collect(),
    })
}

pub(super) fn io(action: &'static str, path: &Path, source: std::io::Error) -> CheckpointError {
    CheckpointError::Io {
        action,
        path: path.into(),
        source,
    }
}
