//! [`BnbPlace`]: a weight of few bits, in several tensors of a file.

use std::path::Path;

use burn::tensor::{DType, bf16, f16};
use peft_kernels::{Packed, PackedError, PackedFormat};
use peft_safetensors::{ReadError, TensorPlace};

/// Inputs of which an eight-bit layer has a multiple, to be held as it lies.
const WHOLE: usize = 64;

/// Where a weight is.
#[derive(Debug, Clone)]
pub(crate) struct BnbPlace {
    /// `[d_out, d_in]`.
    pub(super) shape: Vec<usize>,
    /// What it is dequantised to.
    pub(super) dtype: DType,
    pub(super) parts: Parts,
}

/// Its tensors.
#[derive(Debug, Clone)]
pub(super) enum Parts {
    Four {
        codes: TensorPlace,
        /// In f32, or indices of nested ones.
        scales: TensorPlace,
        nested: Option<Nested>,
    },
    Eight {
        codes: TensorPlace,
        scales: TensorPlace,
    },
}

/// Scales that are quantised.
#[derive(Debug, Clone)]
pub(super) struct Nested {
    pub(super) scales: TensorPlace,
    pub(super) table: TensorPlace,
    pub(super) mean: f32,
}

impl BnbPlace {
    fn codes(&self) -> &TensorPlace {
        match &self.parts {
            Parts::Four { codes, .. } | Parts::Eight { codes, .. } => codes,
        }
    }

    pub(crate) fn key(&self) -> &str {
        self.codes().key()
    }

    pub(crate) fn path(&self) -> &Path {
        self.codes().path()
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub(crate) fn dtype(&self) -> DType {
        self.dtype
    }

    /// How it is quantised.
    pub(crate) fn format(&self) -> PackedFormat {
        match &self.parts {
            Parts::Four { nested: None, .. } => PackedFormat::Nf4,
            Parts::Four { .. } => PackedFormat::Nf4Double,
            Parts::Eight { .. } => PackedFormat::Int8,
        }
    }

    /// How it can be held as it lies, of a layer that a checkpoint has `[d_out, d_in]` or not.
    pub(crate) fn packed(&self, transposed: bool) -> Option<PackedFormat> {
        let d_in = self.shape.last().copied().unwrap_or(0);
        let whole = d_in.is_multiple_of(WHOLE) || matches!(self.parts, Parts::Four { .. });
        (transposed && whole).then(|| self.format())
    }

    /// Its blocks.
    ///
    /// # Errors
    ///
    /// A [`ReadError`]: parts that do not go together.
    pub(crate) fn read(&self) -> Result<Packed, ReadError> {
        let &[d_out, d_in] = self.shape.as_slice() else {
            return Err(self.unfit("its shape is no matrix's".into()));
        };
        let dims = [d_in, d_out];
        let unfit = |error: PackedError| self.unfit(error.to_string());
        // Bounds what is read by the file: codes are at most two a byte.
        let bound = bytes(self.codes())?;
        match &self.parts {
            Parts::Four {
                scales,
                nested: None,
                ..
            } => Packed::of_nf4(dims, &bound, &floats(scales)?).map_err(unfit),
            Parts::Four {
                scales,
                nested: Some(nested),
                ..
            } => {
                let table = floats(&nested.table)?;
                let table = table.try_into();
                let table = table.map_err(|_| self.unfit("its nested table has not 256".into()))?;
                let (indices, of_scales) = (bytes(scales)?, floats(&nested.scales)?);
                Packed::of_nf4_double(dims, &bound, &indices, &table, &of_scales, nested.mean)
                    .map_err(unfit)
            }
            Parts::Eight { scales, .. } => {
                Packed::of_int8(dims, &bound, &floats(scales)?).map_err(unfit)
            }
        }
    }

    fn unfit(&self, reason: String) -> ReadError {
        ReadError::Malformed {
            path: self.path().into(),
            reason: format!("`{}`: {reason}", self.key()),
        }
    }

    /// Its dense value in its dtype, which is made whole.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub(crate) fn chunks(&self, mut each: impl FnMut(&[u8]) -> bool) -> Result<(), ReadError> {
        let values = match &self.parts {
            Parts::Eight { scales, .. } => {
                // Of any number of inputs.
                let (codes, scales) = (bytes(self.codes())?, floats(scales)?);
                let d_in = self.shape.last().copied().unwrap_or(1).max(1);
                if codes.len() / d_in != scales.len() {
                    return Err(self.unfit("its scales are not one an output".into()));
                }
                peft_kernels::int8_values(&codes, &scales, d_in)
            }
            Parts::Four { .. } => self.read()?.values(),
        };
        let values = values.into_iter();
        let bytes: Vec<u8> = match self.dtype {
            DType::BF16 => values
                .flat_map(|x| bf16::from_f32(x).to_le_bytes())
                .collect(),
            DType::F16 => values
                .flat_map(|x| f16::from_f32(x).to_le_bytes())
                .collect(),
            _ => values.flat_map(f32::to_le_bytes).collect(),
        };
        each(&bytes);
        Ok(())
    }

    /// Whether another weight has other bytes.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub(crate) fn differs_from(&self, other: &Self) -> Result<bool, ReadError> {
        Ok(self.read()? != other.read()?)
    }
}

/// All bytes of a tensor.
pub(super) fn bytes(place: &TensorPlace) -> Result<Vec<u8>, ReadError> {
    let mut all = Vec::new();
    place.chunks(|bytes| {
        all.extend_from_slice(bytes);
        true
    })?;
    Ok(all)
}

/// All elements of a tensor of f32.
pub(super) fn floats(place: &TensorPlace) -> Result<Vec<f32>, ReadError> {
    let bytes = bytes(place)?;
    let each = bytes.chunks_exact(4);
    Ok(each
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect())
}
