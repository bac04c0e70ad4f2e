#![doc = include_str!("../README.md")]
mod activation;
mod adamw;
mod adamw_8bit;
mod attention;
mod blockwise8;
mod closed_form;
mod columns;
mod counted;
#[cfg(feature = "flex")]
mod flex;
mod gathering;
mod known;
#[cfg(feature = "flex")]
pub mod measure;
#[cfg(feature = "flex")]
mod meeting;
mod norm;
mod packed;
mod product;
mod rotary;
mod scale;
mod softcap;
mod softmax;
mod threads;

pub use activation::Activation;
pub use adamw::AdamWStep;

pub use attention::{Dropout, EVERY_SEQUENCE, Sight, Visibility, attention};
pub use blockwise8::{Blockwise8, Signs};
pub use columns::{is_same_tensor, scale_columns};
pub use counted::multiply_adds;
pub use gathering::{Gathering, Place};
pub use known::with_gradient;
pub use norm::{layer_norm, rms_norm};
pub use packed::{
    NF4_CODES, Packed, PackedError, PackedFormat, Packer, int8_values, multiplies_packed,
    packed_bytes, packed_format, packed_rows_format, unpacked, unpacked_columns, unpacked_rows,
};
pub use product::{linear, matmul, matmul_to_merge, transposed_product};
pub use rotary::rotate;
pub use scale::{scale, sum_of_squares};
pub use softcap::softcap;
pub use softmax::softmax;
pub use threads::{ThreadsSettled, on_threads};

/// Whether a tensor is where its operation runs as one pass.
#[cfg(feature = "flex")]
fn fuses<const D: usize>(x: &burn::tensor::Tensor<D>) -> bool {
    flex::holds(x)
}
