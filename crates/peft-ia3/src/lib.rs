#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod config;
mod ia3;

pub use config::Ia3Config;
pub use ia3::{Ia3, Ia3Side};
pub use peft_core::{
    AttachReport, ForwardPath, LayerRange, Names, PeftError, Placed, Placement, Targets, Unmerged,
    detach, embedding, linear, merge, replace, route, set_active, set_disabled, unroute,
};
