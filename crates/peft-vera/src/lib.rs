#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod randlora;
mod vblora;
mod vera;

pub use peft_core::{
    AdapterCost, AttachReport, ForwardPath, LayerRange, Names, PeftError, Placed, Placement,
    SharedMatrix, SharedParam, Targets, TorchRandom, TrainBias, Unmerged, detach, embedding,
    linear, merge, replace, route, set_active, set_disabled, unroute,
};
pub use randlora::{RandLora, RandLoraConfig};
pub use vblora::{Vblora, VbloraConfig};
pub use vera::{Vera, VeraConfig};
