#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod boft;
mod cayley;
mod hra;
mod oft;
mod road;

pub use boft::{Boft, BoftConfig};
pub use hra::{Hra, HraConfig};
pub use oft::{Cayley, Oft, OftConfig};
pub use peft_core::{
    AdapterCost, AttachReport, ForwardPath, LayerRange, Names, PeftError, Placed, Placement,
    Targets, TrainBias, Unmerged, detach, embedding, linear, merge, replace, route, set_active,
    set_disabled, unroute,
};
pub use road::{Road, RoadConfig, RoadVariant};

/// How many blocks a side of a layer falls into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blocks {
    /// As many as are this wide.
    Size(usize),
    /// So many.
    Number(usize),
}
