//! [`Tensor`]: a parameter as a GGUF file has it.

use std::io::{self, Write};

use burn::tensor::DType;
use peft_gguf::{TensorType, Writes};
use peft_safetensors::Writes as StoredWrites;

use crate::gguf::Layout;
use crate::tensor_file::{StoredTensor, transpose};

/// A tensor that is read, laid out and packed when it is written.
pub(super) struct Tensor {
    shape: Vec<usize>,
    ty: TensorType,
    from: TensorSource,
}

enum TensorSource {
    Values(Vec<f32>),
    Stored(StoredTensor, Layout),
}

impl Tensor {
    /// Values in f32, along one axis.
    pub(super) fn of_values(values: Vec<f32>) -> Self {
        Self::matrix(vec![values.len()], values)
    }

    /// Values in f32 of a shape.
    pub(super) fn matrix(shape: Vec<usize>, values: Vec<f32>) -> Self {
        Self {
            shape,
            ty: TensorType::F32,
            from: TensorSource::Values(values),
        }
    }

    /// A parameter, as it lies in a checkpoint, that ggml calls `name`, in `ty` if that can be.
    pub(super) fn new(name: &str, stored: StoredTensor, layout: Layout, ty: TensorType) -> Self {
        let mut shape = stored.shape().to_vec();
        if layout == Layout::Transposed {
            shape.reverse();
        }
        let row = shape.last().copied().unwrap_or(1);
        let outer = ["token_embd.weight", "output.weight"].contains(&name);
        let ty = match ty {
            _ if shape.len() < 2 || name.starts_with("position_embd") => TensorType::F32,
            TensorType::Q4_0 if outer && row.is_multiple_of(32) => TensorType::Q8_0,
            ty if !row.is_multiple_of(ty.block_values()) => TensorType::F16,
            ty => ty,
        };
        Self {
            shape,
            ty,
            from: TensorSource::Stored(stored.in_dtype(DType::F32), layout),
        }
    }

    /// The values in the file's order.
    fn values(&self) -> io::Result<Vec<f32>> {
        let (stored, layout) = match &self.from {
            TensorSource::Values(values) => return Ok(values.clone()),
            TensorSource::Stored(stored, layout) => (stored, *layout),
        };
        let mut bytes = Vec::new();
        stored.write(&mut bytes)?;
        let bytes = match layout {
            Layout::Same | Layout::FromOne => bytes,
            Layout::Transposed => {
                let columns = stored.shape().last().copied().unwrap_or(1);
                transpose(&bytes, columns, 4)
            }
            Layout::Pairs { heads } => pairs(&bytes, heads, &self.shape),
        };
        let add = if layout == Layout::FromOne { 1.0 } else { 0.0 };
        let value = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]) + add;
        Ok(bytes.chunks_exact(4).map(value).collect())
    }
}

/// Rows of f32 of a shape, those of each head's pairs behind each other.
pub(super) fn pairs(bytes: &[u8], heads: usize, shape: &[usize]) -> Vec<u8> {
    let rows = shape.first().copied().unwrap_or(1) / heads.max(1);
    let head = bytes.len() / heads.max(1);
    // [2, rows / 2, columns] to [rows / 2, 2, columns].
    let heads = bytes.chunks_exact(head.max(1));
    heads
        .flat_map(|head| transpose(head, rows / 2, head.len() / rows.max(1)))
        .collect()
}

impl Writes for Tensor {
    fn ty(&self) -> TensorType {
        self.ty
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let values = self.values()?;
        let largest = values.iter().fold(0.0_f32, |n, value| n.max(value.abs()));
        if !values.iter().all(|value| value.is_finite()) || largest > self.ty.largest() {
            let reason = format!("a value of up to {largest} is not finite in {}", self.ty);
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        let mut packed = Vec::new();
        self.ty
            .pack(&values, &mut packed)
            .map_err(io::Error::other)?;
        out.write_all(&packed)
    }
}
