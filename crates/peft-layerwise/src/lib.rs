//! Which of a model's own parameters train, and when.
//!
//! A [`Strategy`] is asked for every step which parameters train and how fast, by two functions of the step. So a run that resumes finds its place by itself,
//! and a new strategy is a type with two methods: `examples/new_strategy.rs` writes one. The loop is `peft-train`'s; it sets what trains, drops moments that a
//! strategy wants forgotten, and skips what lies below the lowest parameter that trains.
//!
//! | strategy | trains | from |
//! |---|---|---|
//! | [`AsGiven`] | what requires gradients in the model | |
//! | [`Full`] | everything | |
//! | [`Head`] | the modules of these paths | |
//! | [`Matching`] | the parameters whose path matches a regular expression | |
//! | [`TopLayers`], [`FreezeBottom`] | the upper blocks and what is above them | Lee et al. 2019 |
//! | [`BitFit`] | biases | Ben Zaken et al. 2021 |
//! | [`Norms`] | normalisation layers | Zhao et al. 2023 |
//! | [`Gradual`] | one more block at a time | Howard and Ruder 2018 |
//! | [`Discriminative`] | what another does, slower with depth | Howard and Ruder 2018 |
//! | [`Lisa`] | random blocks, drawn anew | Pan et al. 2024 |
//! | [`BAdam`] | one block after the other | Luo et al. 2024 |
//! | [`With`], [`OfGiven`] | what either of two does; what one does of the model's own choice | |
//!
//! Strategies by depth are built from a model: [`Depth`] tells where a parameter lies by the order of traversal, whatever it is named.
//! Norms that train together with LoRA are `With::new(Norms::new(&model)?, AsGiven)`; LoRA on the top layers alone is a matter of LoRA's targets.
//!
//! # What this crate does not do
//!
//! It trains nothing (`peft-train`), and writes no files (`peft-store`).
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
