//! Tensors of a file as values.

use std::borrow::Cow;
use std::collections::BTreeMap;

use burn::tensor::{Bytes, DType, TensorData};
use peft_files::FloatType;
use peft_safetensors::{Dtype, ReadError, TensorPlace};

use super::layout::scatter;
use super::place::Source;
use crate::TensorProblem;

/// The dtype of this project for one of a file. Nothing is run in f64, which is read into f32.
pub(crate) fn run_dtype(dtype: Dtype) -> Option<DType> {
    match dtype {
        Dtype::F32 | Dtype::F64 => Some(DType::F32),
        Dtype::F16 => Some(DType::F16),
        Dtype::BF16 => Some(DType::BF16),
        _ => None,
    }
}

/// A tensor's values in `dtype`, transposed if asked. They are read and converted piece by piece,
/// straight into their place.
///
/// Where they are to be `finite`, one that is not is refused, or that is not any more in `dtype`.
pub(crate) fn read(
    place: &impl Source,
    transposed: bool,
    dtype: DType,
    finite: bool,
) -> Result<TensorData, ReadError> {
    let from = format(place)?;
    let to = match dtype {
        DType::F16 | DType::BF16 => dtype,
        _ => DType::F32,
    };
    let mut shape = place.shape().to_vec();
    let (rows, columns) = match (transposed, shape.as_slice()) {
        (true, &[rows, columns]) => (rows, columns),
        _ => (1, shape.iter().product()),
    };
    let size = to.size();
    // Of the elements' alignment: a backend would copy bytes of another.
    let mut out = match size {
        2 => Bytes::from_elems(vec![0u16; rows * columns]),
        _ => Bytes::from_elems(vec![0u32; rows * columns]),
    };
    let mut at = 0; // elements read
    let mut refused = 0;
    place.chunks(|bytes| {
        let bytes = converted(bytes, from, to);
        let here = match finite {
            true => float_type(to).count_not_finite(&bytes),
            false => 0,
        };
        refused += here;
        if refused > 0 {
            // Only counted from here on.
        } else if rows == 1 {
            out[at * size..][..bytes.len()].copy_from_slice(&bytes);
        } else {
            scatter(&bytes, at, rows, columns, size, &mut out);
        }
        at += bytes.len() / size;
        true
    })?;
    if refused > 0 {
        return Err(ReadError::NotFinite {
            path: place.path().into(),
            key: place.key().into(),
            count: refused,
            total: at,
            dtype: match to {
                DType::F16 => "F16",
                DType::BF16 => "BF16",
                _ => "F32",
            },
        });
    }
    if rows > 1 || transposed {
        shape.reverse();
    }
    Ok(TensorData::from_bytes(out, shape, to).convert_dtype(dtype))
}

/// A tensor's values in f32, as the file lays them out; one that is not finite is refused.
pub(crate) fn read_f32(place: &TensorPlace) -> Result<TensorData, ReadError> {
    read(place, false, DType::F32, true)
}

/// What is wrong with tensors, by the keys and shapes that are expected of them; that one is
/// missing is not looked for.
pub(crate) fn problems(
    places: &BTreeMap<String, TensorPlace>,
    expected: &BTreeMap<String, Vec<usize>>,
) -> Result<Vec<TensorProblem>, ReadError> {
    let mut problems = Vec::new();
    for (path, place) in places {
        let key = place.key().to_owned();
        problems.push(match expected.get(path) {
            None => TensorProblem::Unexpected { key },
            Some(shape) if place.shape() != shape => TensorProblem::Shape {
                key,
                expected: shape.clone(),
                found: place.shape().to_vec(),
            },
            Some(_) if run_dtype(place.dtype()).is_none() => {
                let found = format!("{:?}", place.dtype());
                TensorProblem::Dtype { key, found }
            }
            Some(_) if !is_finite(place)? => TensorProblem::NotFinite { key },
            Some(_) => continue,
        });
    }
    Ok(problems)
}

/// Whether every value is a finite number.
fn is_finite(place: &TensorPlace) -> Result<bool, ReadError> {
    let from = format(place)?;
    let mut finite = true;
    place.chunks(|bytes| {
        finite = FloatType::F32.count_not_finite(&converted(bytes, from, DType::F32)) == 0;
        finite
    })?;
    Ok(finite)
}

/// What the elements of a file's tensor are.
pub(super) fn format(place: &impl Source) -> Result<DType, ReadError> {
    place.format().ok_or_else(|| ReadError::Malformed {
        path: place.path().into(),
        reason: format!("`{}` of {} is not read", place.key(), place.kind()),
    })
}

/// Elements of one format in another.
pub(super) fn converted(bytes: &[u8], from: DType, to: DType) -> Cow<'_, [u8]> {
    if from == to {
        return Cow::Borrowed(bytes);
    }
    let values = float_type(from).decode(bytes);
    Cow::Owned(float_type(to).encode(&values))
}

fn float_type(dtype: DType) -> FloatType {
    match dtype {
        DType::F64 => FloatType::F64,
        DType::F16 => FloatType::F16,
        DType::BF16 => FloatType::BF16,
        _ => FloatType::F32,
    }
}
