//! Products of f32 rows with a weight that is stored in another format.

use burn::tensor::{Bytes, DType, bf16, f16};
use burn_flex::{FlexTensor, Layout};

use super::gemm::{Format, Matrix, packed_product};
use super::packed::{PackedView, is_packed};
use super::values::{in_order, shape, values};

/// Whether weights in this type have a product of their own.
pub(crate) fn is_narrow(dtype: DType) -> bool {
    matches!(dtype, DType::BF16 | DType::F16)
}

/// Whether a weight is stored so that it has a product of its own.
pub(super) fn is_stored(weight: &FlexTensor) -> bool {
    is_narrow(weight.dtype()) || is_packed(weight)
}

/// `x W`, or `x Wᵀ`, row by row: both read the one copy of `W`.
pub(super) fn product(x: &FlexTensor, weight: &FlexTensor, transposed: bool) -> Vec<f32> {
    let x = in_lines(x);
    let rows = matrix(&x, x.storage());
    if let Some(packed) = PackedView::of(weight) {
        return packed_product(rows, &packed, transposed).expect("rows in lines");
    }
    let weight = in_lines(weight);
    match weight.dtype() {
        DType::BF16 => with(rows, matrix::<bf16>(&weight, weight.storage()), transposed),
        DType::F16 => with(rows, matrix::<f16>(&weight, weight.storage()), transposed),
        other => panic!("a weight in {other:?} has no product of its own"),
    }
}

fn with<T: Format>(rows: Matrix<'_>, weight: Matrix<'_, T>, transposed: bool) -> Vec<f32> {
    let weight = if transposed {
        weight.transposed()
    } else {
        weight
    };
    T::product(rows, weight).expect("factors in lines")
}

/// The gradient of a weight in its format, rounded to the nearest. One of f32 stays as it lies,
/// which is as its weight does.
pub(super) fn in_format(gradient: FlexTensor, dtype: DType) -> FlexTensor {
    if !is_narrow(dtype) {
        return gradient;
    }
    let gradient = in_order(gradient);
    let all = values(&gradient).iter().copied();
    let bytes = match dtype {
        DType::BF16 => Bytes::from_elems(all.map(bf16::from_f32).collect()),
        _ => Bytes::from_elems(all.map(f16::from_f32).collect()),
    };
    FlexTensor::new(bytes, Layout::contiguous(shape(&gradient)), dtype)
}

/// With rows, or columns, that each lie in memory without gaps.
fn in_lines(x: &FlexTensor) -> FlexTensor {
    let strides = x.layout().strides();
    if strides.contains(&1) && strides.iter().all(|stride| *stride >= 0) {
        x.clone()
    } else {
        x.to_contiguous()
    }
}

fn matrix<'a, T>(x: &FlexTensor, memory: &'a [T]) -> Matrix<'a, T> {
    let (dims, strides) = (x.layout().shape(), x.layout().strides());
    Matrix {
        memory,
        start: x.layout().start_offset(),
        rows: dims[0],
        columns: dims[1],
        row: strides[0],
        column: strides[1],
    }
}
