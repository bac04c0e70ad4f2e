//! Tensors of `flex` as slices of f32.

use burn::tensor::{Bytes, DType, Shape};
use burn_flex::{FlexTensor, Layout};

/// A tensor of these values.
pub(super) fn tensor(values: Vec<f32>, shape: Shape) -> FlexTensor {
    debug_assert_eq!(values.len(), shape.num_elements());
    FlexTensor::new(
        Bytes::from_elems(values),
        Layout::contiguous(shape),
        DType::F32,
    )
}

/// The values in order, of a tensor that [`in_order`] has seen.
pub(super) fn values(x: &FlexTensor) -> &[f32] {
    x.as_slice().expect("f32 values in order")
}

/// The tensor with its values in memory in order.
pub(super) fn in_order(x: FlexTensor) -> FlexTensor {
    if x.is_contiguous() {
        x
    } else {
        x.to_contiguous()
    }
}

/// The tensor as all of its memory, in order.
pub(super) fn whole(x: FlexTensor) -> FlexTensor {
    let is_whole = x.is_contiguous() && x.storage::<f32>().len() == x.layout().num_elements();
    if is_whole {
        x
    } else {
        let x = in_order(x);
        tensor(values(&x).to_vec(), shape(&x))
    }
}

/// The length of the last axis.
pub(super) fn width(x: &FlexTensor) -> usize {
    x.layout().shape().iter().last().copied().unwrap_or(1)
}

/// The shape.
pub(super) fn shape(x: &FlexTensor) -> Shape {
    x.layout().shape().clone()
}
