//! [`Source`]: a tensor of a file, of any format that parameters are read from.

use std::path::Path;

use burn::tensor::DType;
use peft_kernels::PackedFormat;
use peft_safetensors::{Dtype, ReadError, TensorPlace};

use super::read::run_dtype;
#[cfg(feature = "models")]
use crate::bnb::BnbPlace;
#[cfg(feature = "models")]
use crate::gguf::GgufPlace;

/// Where a tensor is, and how its elements are read.
pub(crate) trait Source {
    /// The tensor's key in the file.
    fn key(&self) -> &str;

    /// Its shape, as Hugging Face has it.
    fn shape(&self) -> &[usize];

    /// The file.
    fn path(&self) -> &Path;

    /// What [`chunks`](Self::chunks) gives its elements in; none where that is not read.
    fn format(&self) -> Option<DType>;

    /// Its element type, or the type of its blocks, as the file's format calls it.
    fn kind(&self) -> String;

    /// The format of its blocks, where they can be held as they lie in the file: those of a linear
    /// layer's weight, output by output. `transposed` says whether a checkpoint has it so.
    fn packed(&self, transposed: bool) -> Option<PackedFormat> {
        let _ = transposed;
        None
    }

    /// The bytes of these blocks.
    fn packed_bytes(&self) -> Result<Vec<u8>, ReadError> {
        Ok(Vec::new())
    }

    /// Its elements in order, in pieces that hold whole ones, for as long as `each` wants more.
    fn chunks(&self, each: impl FnMut(&[u8]) -> bool) -> Result<(), ReadError>;
}

impl Source for TensorPlace {
    fn key(&self) -> &str {
        self.key()
    }

    fn shape(&self) -> &[usize] {
        self.shape()
    }

    fn path(&self) -> &Path {
        self.path()
    }

    fn format(&self) -> Option<DType> {
        match self.dtype() {
            Dtype::F64 => Some(DType::F64),
            dtype => run_dtype(dtype),
        }
    }

    fn kind(&self) -> String {
        format!("{:?}", self.dtype())
    }

    fn chunks(&self, each: impl FnMut(&[u8]) -> bool) -> Result<(), ReadError> {
        self.chunks(each)
    }
}

/// Where a tensor of a checkpoint is.
#[cfg(feature = "models")]
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// In a safetensors file.
    Safetensors(TensorPlace),
    /// In a GGUF file.
    Gguf(GgufPlace),
    /// In several tensors of safetensors files.
    Bnb(Box<BnbPlace>),
}

#[cfg(feature = "models")]
impl Place {
    /// The dtype that its elements have in this project; none where they are not read.
    pub(crate) fn dtype(&self) -> Option<DType> {
        let format = self.format()?;
        Some(if format == DType::F64 {
            DType::F32
        } else {
            format
        })
    }

    /// Whether another tensor has other bytes, or other types of them.
    pub(crate) fn differs_from(&self, other: &Self) -> Result<bool, ReadError> {
        if self.kind() != other.kind() || self.shape() != other.shape() {
            return Ok(true);
        }
        match (self, other) {
            (Self::Safetensors(one), Self::Safetensors(other)) => one.differs_from(other),
            (Self::Gguf(one), Self::Gguf(other)) => one.differs_from(other).map_err(of_gguf),
            (Self::Bnb(one), Self::Bnb(other)) => one.differs_from(other),
            (Self::Safetensors(_) | Self::Gguf(_) | Self::Bnb(_), _) => Ok(true),
        }
    }
}

#[cfg(feature = "models")]
impl Source for Place {
    fn key(&self) -> &str {
        match self {
            Self::Safetensors(place) => place.key(),
            Self::Gguf(place) => place.key(),
            Self::Bnb(place) => place.key(),
        }
    }

    fn shape(&self) -> &[usize] {
        match self {
            Self::Safetensors(place) => place.shape(),
            Self::Gguf(place) => place.shape(),
            Self::Bnb(place) => place.shape(),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Safetensors(place) => place.path(),
            Self::Gguf(place) => place.path(),
            Self::Bnb(place) => place.path(),
        }
    }

    fn format(&self) -> Option<DType> {
        match self {
            Self::Safetensors(place) => place.format(),
            Self::Gguf(place) => Some(place.format()),
            Self::Bnb(place) => Some(place.dtype()),
        }
    }

    fn kind(&self) -> String {
        match self {
            Self::Safetensors(place) => place.kind(),
            Self::Gguf(place) => place.ty().to_string(),
            Self::Bnb(place) => place.format().to_string(),
        }
    }

    fn packed(&self, transposed: bool) -> Option<PackedFormat> {
        match self {
            Self::Safetensors(place) => place.packed(transposed),
            Self::Gguf(place) => place.packed(transposed),
            Self::Bnb(place) => place.packed(transposed),
        }
    }

    fn packed_bytes(&self) -> Result<Vec<u8>, ReadError> {
        match self {
            Self::Safetensors(place) => place.packed_bytes(),
            Self::Gguf(place) => place.packed_bytes().map_err(of_gguf),
            Self::Bnb(place) => Ok(place.read()?.into_bytes()),
        }
    }

    fn chunks(&self, each: impl FnMut(&[u8]) -> bool) -> Result<(), ReadError> {
        match self {
            Self::Safetensors(place) => place.chunks(each),
            Self::Gguf(place) => place.chunks(each).map_err(of_gguf),
            Self::Bnb(place) => place.chunks(each),
        }
    }
}

/// The bytes of a tensor of a file that has been opened: the system alone can refuse them.
#[cfg(feature = "models")]
fn of_gguf(error: peft_gguf::ReadError) -> ReadError {
    match error {
        peft_gguf::ReadError::Io { path, source } => ReadError::Io { path, source },
        peft_gguf::ReadError::Malformed { path, reason } => ReadError::Malformed { path, reason },
        other => ReadError::Malformed {
            path: Default::default(),
            reason: other.to_string(),
        },
    }
}
