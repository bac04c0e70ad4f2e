//! The operations on `flex` in f32: one pass over memory, on all cores, gradients too.

mod activation;
mod adamw;
mod attention;
mod columns;
mod gathered;
mod gemm;
mod made;
mod math;
mod norm;
mod ops;
mod packed;
mod product;
mod record;
mod rotary;
mod row_gradient;
mod rows;
mod scaling;
mod simd;
mod softmax;
mod stored;
mod values;

use burn::backend::DispatchDevice;
use burn::tensor::{DType, Device, Tensor};

pub(crate) use adamw::Update;
pub(crate) use attention::{Spec, attend};
pub(crate) use columns::is_same_tensor;
pub(crate) use gathered::{Gathered, GatheredPlace, begin_anew};
pub(crate) use gemm::measure;
pub(crate) use ops::{
    act, gate, layer_norm, linear, matmul, rms_norm, rotate, scale, scale_columns, softmax,
    sum_of_squares, transposed_product, update, with_gradient,
};
pub(crate) use packed::{
    packed_bytes, packed_format, packed_rows_format, packed_tensor, unpacked, unpacked_columns,
    unpacked_rows,
};

/// Whether a tensor is f32 on `flex`, differentiated or not, and holds anything.
pub(crate) fn holds<const D: usize>(x: &Tensor<D>) -> bool {
    x.dtype() == DType::F32 && is_here(x)
}

/// Whether a tensor is a weight of `flex` in a format that has a product of its own.
pub(crate) fn holds_stored<const D: usize>(x: &Tensor<D>) -> bool {
    stored::is_narrow(x.dtype()) && is_here(x)
}

/// On `flex`, differentiated or not, and not empty.
fn is_here<const D: usize>(x: &Tensor<D>) -> bool {
    is_on_flex(&x.device()) && x.shape().num_elements() > 0
}

/// Whether a device is `flex`, differentiated or not.
pub(crate) fn is_on_flex(device: &Device) -> bool {
    match device.as_dispatch() {
        DispatchDevice::Flex(_) => true,
        DispatchDevice::Autodiff(device) => matches!(**device, DispatchDevice::Flex(_)),
        #[allow(unreachable_patterns)] // There are others where other features are on.
        _ => false,
    }
}
