//! LoRA: low-rank adapters beside frozen weights.
//!
//! `W' = W + s · A B`, with `s = α / r`, or `α / √r` when rank-stabilised. *LoRA: Low-Rank Adaptation of Large Language Models*, Hu et al.
//! 2021, [arXiv:2106.09685](https://arxiv.org/abs/2106.09685); *A Rank Stabilization Scaling Factor for Fine-Tuning with LoRA*,
//! Kalajdzievski 2023, [arXiv:2312.03732](https://arxiv.org/abs/2312.03732).
//!
//! ```
//! use burn::nn::LinearConfig;
//! use burn::tensor::Device;
//! use peft_lora::{LoraConfig, Targets, merge};
//!
//! # #[derive(burn::module::Module, Debug)] struct Net { query: burn::nn::Linear, value: burn::nn::Linear }
//! # fn main() -> Result<(), peft_lora::PeftError> {
//! # let device = Device::flex();
//! # let mut model = Net { query: LinearConfig::new(8, 8).init(&device), value: LinearConfig::new(8, 4).init(&device) };
//! let report = LoraConfig::new(4, 8.0)
//!     .with_targets(Targets::suffixes(["query", "value"]))
//!     .attach(&mut model, "default")?;
//! println!("{report}");
//! // ... train ...
//! merge(&mut model)?;
//! # Ok(())
//! # }
//! ```
//!
//! # What this crate does not do
//!
//! It reads and writes no files: `peft-store` does.
#![deny(missing_docs)]

mod config;
mod lora;

pub use config::{LoraConfig, LoraInit, LoraScaling};
pub use lora::Lora;
pub use peft_core::{
    AttachReport, ForwardPath, LayerRange, Patterns, PeftError, Placement, Targets, TrainBias,
    Unmerged, detach, embedding, linear, merge, replace, route, set_active, set_disabled, unroute,
};

/// The example of the first page, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
