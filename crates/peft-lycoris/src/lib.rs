#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod dropout;
mod loha;
mod lokr;
mod settings;

pub use dropout::OutputDropout;
pub use loha::{LoHa, LoHaConfig};
pub use lokr::{Factor, LoKr, LoKrConfig, Product};
pub use peft_core::{
    AdapterCost, AttachReport, ForwardPath, LayerRange, Names, Patterns, PeftError, Placed,
    Placement, Targets, Unmerged, detach, embedding, linear, merge, replace, route, set_active,
    set_disabled, unroute,
};
pub use settings::LycorisSettings;
