#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod as_given;
mod badam;
mod bitfit;
mod chosen;
mod depth;
mod discriminative;
mod every;
mod freeze_bottom;
mod full;
mod gradual;
mod head;
mod length;
mod lisa;
mod matching;
mod norms;
mod of_given;
mod place;
mod role;
mod strategy;
mod top_layers;
mod with;

pub use as_given::AsGiven;
pub use badam::{BAdam, Order};
pub use bitfit::BitFit;
pub use depth::Depth;
pub use discriminative::Discriminative;
pub use every::Every;
pub use freeze_bottom::FreezeBottom;
pub use full::Full;
pub use gradual::{Gradual, Side};
pub use head::Head;
pub use length::Length;
pub use lisa::Lisa;
pub use matching::Matching;
pub use norms::Norms;
pub use of_given::OfGiven;
pub use peft_core::PeftError;
pub use place::Place;
pub use role::Role;
pub use strategy::Strategy;
pub use top_layers::TopLayers;
pub use with::With;
