//! What transformers compute most, each with its gradient as one operation.
//!
//! Every function here has one definition in Burn's operations, which any backend runs. Where its tensors are f32 on `flex` and this crate's feature of that
//! name is on, it runs instead as one pass over memory on all cores, and so does its gradient: Burn's backend runs each operation of the definition as a pass
//! of its own, on one core. Both give the same numbers up to rounding, which the tests of each function check, value and gradients.

mod activation;
mod adamw;
mod closed_form;
#[cfg(feature = "flex")]
mod flex;
mod known;
mod norm;
mod product;
mod rotary;
mod scale;
mod softmax;

pub use activation::Activation;
pub use adamw::AdamWStep;
pub use known::with_gradient;
pub use norm::{layer_norm, rms_norm};
pub use product::{linear, matmul, matmul_to_merge};
pub use rotary::rotate;
pub use scale::{scale, sum_of_squares};
pub use softmax::softmax;

/// Whether a tensor is where its operation runs as one pass.
#[cfg(feature = "flex")]
fn fuses<const D: usize>(x: &burn::tensor::Tensor<D>) -> bool {
    flex::holds(x)
}
