#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod randlora;
mod torch_random;
mod vera;

pub use peft_core::{
    AdapterCost, AttachReport, ForwardPath, LayerRange, Names, PeftError, Placed, Placement,
    SharedMatrix, Targets, TrainBias, Unmerged, detach, embedding, linear, merge, replace, route,
    set_active, set_disabled, unroute,
};
pub use randlora::{RandLora, RandLoraConfig};
pub use torch_random::TorchRandom;
pub use vera::{Vera, VeraConfig};
