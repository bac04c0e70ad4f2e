//! IA3: learned vectors that rescale what frozen layers give or take.
//!
//! On keys and values `y' = y ∘ l`, bias included; on the feed-forward layer `y = W (x ∘ l) + b`. *Few-Shot Parameter-Efficient
//! Fine-Tuning is Better and Cheaper than In-Context Learning*, Liu et al. 2022, [arXiv:2205.05638](https://arxiv.org/abs/2205.05638).
//!
//! ```
//! use burn::nn::LinearConfig;
//! use burn::tensor::Device;
//! use peft_ia3::{Ia3Config, Names, Targets};
//!
//! # #[derive(burn::module::Module, Debug)] struct Net { value: burn::nn::Linear, down: burn::nn::Linear }
//! # fn main() -> Result<(), peft_ia3::PeftError> {
//! # let device = Device::flex();
//! # let linear = |d_in, d_out| LinearConfig::new(d_in, d_out).with_bias(false).init(&device);
//! # let mut model = Net { value: linear(8, 8), down: linear(8, 4) };
//! let report = Ia3Config::new(Targets::suffixes(["value", "down"]))
//!     .with_feedforward(Names::suffixes(["down"]))
//!     .attach(&mut model, "default")?;
//! assert_eq!(report.summary.trainable, 8 + 8);
//! # Ok(())
//! # }
//! ```
//!
//! # What this crate does not do
//!
//! It reads and writes no files: `peft-store` does.
#![deny(missing_docs)]

mod config;
mod ia3;

pub use config::Ia3Config;
pub use ia3::{Ia3, Ia3Side};
pub use peft_core::{
    AttachReport, ForwardPath, LayerRange, Names, PeftError, Placement, Targets, Unmerged, detach,
    embedding, linear, merge, replace, route, set_active, set_disabled, unroute,
};
