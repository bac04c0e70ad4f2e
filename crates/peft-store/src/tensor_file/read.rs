//! Tensors of a safetensors file, read one at a time.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Bytes, DType, Tensor, TensorData};
use half::{bf16, f16};
use safetensors::tensor::{Dtype, Metadata};

use super::layout::scatter;
use crate::params::stored_params;

/// As large as the header of a safetensors file may be.
const MAX_HEADER: u64 = 100_000_000;

/// A file that cannot be read, or is no sound safetensors file.
#[derive(Debug)]
pub(crate) enum ReadError {
    Io { path: PathBuf, source: io::Error },
    Malformed { path: PathBuf, reason: String },
}

fn io(path: &Path, source: io::Error) -> ReadError {
    ReadError::Io {
        path: path.into(),
        source,
    }
}

/// Where a tensor is.
#[derive(Debug, Clone)]
pub(crate) struct TensorPlace {
    /// Its key in the file.
    pub(crate) key: String,
    file: PathBuf,
    start: u64,
    len: usize,
    pub(crate) shape: Vec<usize>,
    pub(crate) dtype: Dtype,
}

/// The tensors of a file by key.
pub(crate) fn read_header(path: &Path) -> Result<Vec<(String, TensorPlace)>, ReadError> {
    let malformed = |reason: String| ReadError::Malformed {
        path: path.into(),
        reason,
    };
    let mut file = File::open(path).map_err(|source| io(path, source))?;
    let size = file.metadata().map_err(|source| io(path, source))?.len();
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
        .map_err(|source| io(path, source))?;
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
pub(crate) fn run_dtype(dtype: Dtype) -> Option<DType> {
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
    pub(crate) fn read(&self, transposed: bool, dtype: DType) -> Result<TensorData, ReadError> {
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

    /// Whether every value is a finite number.
    #[cfg(feature = "adapters")]
    pub(crate) fn is_finite(&self) -> Result<bool, ReadError> {
        let from = run_dtype(self.dtype).ok_or_else(|| self.malformed("is not read"))?;
        let mut finite = true;
        self.chunks(|bytes| {
            let wide = converted(bytes, from, DType::F32);
            let mut values = wide.chunks_exact(4);
            finite = values.all(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]).is_finite());
            finite
        })?;
        Ok(finite)
    }

    /// Whether another tensor of the same shape and dtype has other values.
    pub(crate) fn differs_from(&self, other: &Self) -> Result<bool, ReadError> {
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
            Some(source) => Err(io(&other.file, source)),
            None => Ok(differs),
        }
    }

    /// The bytes in pieces, for as long as `each` wants more.
    fn chunks(&self, mut each: impl FnMut(&[u8]) -> bool) -> Result<(), ReadError> {
        let mut file = self.open()?;
        let mut bytes = Vec::new();
        let mut left = self.len;
        while left > 0 {
            bytes.resize(left.min(CHUNK), 0);
            file.read_exact(&mut bytes)
                .map_err(|source| io(&self.file, source))?;
            left -= bytes.len();
            if !each(&bytes) {
                break;
            }
        }
        Ok(())
    }

    fn open(&self) -> Result<File, ReadError> {
        let failed = |source| io(&self.file, source);
        let mut file = File::open(&self.file).map_err(failed)?;
        file.seek(SeekFrom::Start(self.start)).map_err(failed)?;
        Ok(file)
    }

    fn malformed(&self, what: &str) -> ReadError {
        ReadError::Malformed {
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

/// `model` with the values of these tensors, which are of the shapes that its parameters have in a file, in a precision or in the one that each parameter has.
pub(crate) fn load_tensors<M: Module>(
    model: M,
    places: BTreeMap<String, TensorPlace>,
    dtype: Option<DType>,
) -> Result<M, ReadError> {
    let own = stored_params(&model).into_iter();
    let mut loader = Loader {
        path: Vec::new(),
        places,
        transposed: own.map(|param| (param.path, param.transposed)).collect(),
        dtype,
        error: None,
    };
    let model = model.map(&mut loader);
    match loader.error {
        Some(error) => Err(error),
        None => Ok(model),
    }
}

struct Loader {
    path: Vec<String>,
    places: BTreeMap<String, TensorPlace>,
    transposed: HashMap<String, bool>,
    dtype: Option<DType>,
    error: Option<ReadError>,
}

impl ModuleMapper for Loader {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        let (Some(place), None) = (self.places.get(&path), &self.error) else {
            return param;
        };
        let transposed = self.transposed.get(&path).copied().unwrap_or(false);
        let dtype = self.dtype.unwrap_or_else(|| param.base().dtype());
        match place.read(transposed, dtype) {
            Ok(data) => {
                let device = param.lazy_device();
                let tensor = Tensor::from_data(data, (&device, dtype));
                let id = param.id;
                param.transform_for_load(tensor, id)
            }
            Err(error) => {
                self.error = Some(error);
                param
            }
        }
    }
}
