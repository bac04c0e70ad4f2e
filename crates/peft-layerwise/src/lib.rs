#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod all_trainable;
mod among_trainable;
mod badam;
mod bitfit;
mod block_place;
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
mod rated;
mod role;
mod strategy;
mod top_layers;
mod union;

pub use all_trainable::AllTrainable;
pub use among_trainable::AmongTrainable;
pub use badam::{BAdam, Order};
pub use bitfit::BitFit;
pub use block_place::BlockPlace;
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
pub use peft_core::PeftError;
pub use rated::Rated;
pub use role::Role;
pub use strategy::Strategy;
pub use top_layers::TopLayers;
pub use union::Union;
