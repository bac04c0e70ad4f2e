//! Tensors of `flex` as slices of f32.

use burn::tensor::{Bytes, DType, Shape};
use burn_flex::{FlexTensor, Layout};

use super::rows;

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

/// The tensor with memory of its own, all of it in order, to be written to: its own where nothing
/// else holds it, else a copy, made on all cores.
pub(super) fn writable(x: FlexTensor) -> FlexTensor {
    let x = in_order(x);
    let all = values(&x);
    if x.is_unique() && x.storage::<f32>().len() == all.len() {
        return x;
    }
    let mut copy = vec![0.0; all.len()];
    rows::fill(&mut copy, 1, |run, out| out.copy_from_slice(&all[run]));
    tensor(copy, shape(&x))
}

/// The length of the last axis.
pub(super) fn width(x: &FlexTensor) -> usize {
    x.layout().shape().iter().last().copied().unwrap_or(1)
}

/// The shape.
pub(super) fn shape(x: &FlexTensor) -> Shape {
    x.layout().shape().clone()
}
