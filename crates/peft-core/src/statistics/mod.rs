//! Running statistics: what a module keeps and changes in its forward, though it is no parameter.
//!
//! A `BatchNorm` in training moves its mean and variance with every batch, whatever its parameters
//! do. A frozen module must not: its `training` flag is switched off, so it computes with the
//! statistics that it has. A module that trains whole beside an adapter moves them, so the base has
//! statistics of its own and each adapter has: [`Statistics`] holds those that are not in the
//! model.

mod exchange;
mod find;
mod of_adapter;
mod of_module;
mod values;

pub(crate) use exchange::exchange;
pub(crate) use find::Holders;
pub use find::{freeze_statistics, has_statistics, moving_statistics};
pub use of_adapter::{set_statistics, statistics};
pub(crate) use of_module::Statistics;
pub(crate) use values::{apart, read};
