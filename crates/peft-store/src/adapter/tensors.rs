//! Tensors in and out of a safetensors file, in f32.

use burn::tensor::TensorData;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use super::TensorProblem;

/// The values of a tensor as f32.
pub(super) fn read_f32(key: &str, view: &TensorView<'_>) -> Result<TensorData, TensorProblem> {
    let bytes = view.data();
    let values: Vec<f32> = match view.dtype() {
        Dtype::F32 => bytes
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect(),
        Dtype::F16 => bytes
            .chunks_exact(2)
            .map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32())
            .collect(),
        Dtype::BF16 => bytes
            .chunks_exact(2)
            .map(|b| half::bf16::from_le_bytes([b[0], b[1]]).to_f32())
            .collect(),
        other => {
            return Err(TensorProblem::Dtype {
                key: key.into(),
                found: format!("{other:?}"),
            });
        }
    };
    if values.iter().any(|value| !value.is_finite()) {
        return Err(TensorProblem::NotFinite { key: key.into() });
    }
    Ok(TensorData::new(values, view.shape().to_vec()))
}

/// The values of the tensor of this key and shape as f32.
pub(super) fn read_shaped(
    key: &str,
    shape: &[usize],
    tensors: &SafeTensors<'_>,
) -> Result<TensorData, TensorProblem> {
    let view = tensors
        .tensor(key)
        .map_err(|_| TensorProblem::Missing { key: key.into() })?;
    if view.shape() != shape {
        return Err(TensorProblem::Shape {
            key: key.into(),
            expected: shape.to_vec(),
            found: view.shape().to_vec(),
        });
    }
    read_f32(key, &view)
}
