#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod config;
mod lora;
#[cfg(feature = "svd")]
mod low_rank;
#[cfg(feature = "svd")]
mod spectrum;

pub use config::{LoraConfig, LoraInit, LoraScaling};
pub use lora::Lora;
#[cfg(feature = "svd")]
pub use low_rank::{LowRank, Size};
pub use peft_core::{
    AttachReport, ForwardPath, LayerRange, Patterns, PeftError, Placement, Targets, TrainBias,
    Unmerged, detach, embedding, linear, merge, replace, route, set_active, set_disabled, unroute,
};
#[cfg(feature = "svd")]
pub use spectrum::Spectrum;

/// The example of the first page, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
