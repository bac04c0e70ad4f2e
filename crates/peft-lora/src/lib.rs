#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod adalora;
#[cfg(feature = "svd")]
mod combine;
mod config;
mod corda_mode;
mod delora;
mod dora;
#[cfg(feature = "svd")]
mod from_rows;
mod gralora;
mod hira;
mod init;
#[cfg(feature = "svd")]
mod loftq;
mod lora;
mod lora_plus;
#[cfg(feature = "svd")]
mod low_rank;
mod miss;
mod shira;
#[cfg(feature = "svd")]
mod spectrum;

pub use adalora::{AdaLora, AdaLoraConfig, Importance, RankAllocator};
#[cfg(feature = "svd")]
pub use combine::{Combination, Combined, MajoritySign, Part, Rule};
pub use config::{LoraConfig, LoraScaling};
pub use corda_mode::CordaMode;
pub use delora::{Delora, DeloraConfig, DeloraParts};
pub use dora::Magnitude;
#[cfg(feature = "svd")]
pub use from_rows::{InputReader, StartFromRows};
pub use gralora::{Gralora, GraloraConfig, GraloraParts};
pub use hira::{Hira, HiraConfig};
pub use init::LoraInit;
pub use lora::Lora;
pub use lora_plus::LoraPlus;
#[cfg(feature = "svd")]
pub use low_rank::{LowRank, Size};
pub use miss::{Miss, MissConfig};
pub use peft_core::{
    AttachReport, ForwardPath, LayerRange, Patterns, PeftError, Placed, Placement, Targets,
    TrainBias, Unmerged, detach, embedding, linear, merge, replace, route, set_active,
    set_disabled, unroute,
};
pub use shira::{Shira, ShiraConfig};
#[cfg(feature = "svd")]
pub use spectrum::Spectrum;

/// The example of the first page, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
