#![doc = include_str!("../README.md")]

mod activations;
mod computation;
mod devices;
mod memory;
mod model;
mod run;
mod time;

pub use activations::Activations;
pub use computation::Computation;
pub use devices::Devices;
pub use memory::Memory;
pub use model::{Added, Beside, Block, Linear, LowRank, ModelSizes, Role, Trains};
pub use run::{Run, SMALL};

use serde::Serialize;

/// What a step costs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Plan {
    /// Multiply-adds of a step.
    pub computation: Computation,
    /// Bytes at the moment of a step when there are most.
    pub memory: Memory,
    /// What a step takes beside its products, norms and activations above all: the multiply-adds of
    /// large f32 products that take as long.
    pub beside_products: f64,
    /// Parameters that train.
    pub trainable: f64,
    /// Parameters of the model.
    pub parameters: f64,
}

/// What a step of `run` costs.
pub fn plan(model: &ModelSizes, run: &Run) -> Plan {
    Plan {
        computation: Computation::of(model, run),
        memory: Memory::of(model, run),
        beside_products: time::beside_products(model, run),
        trainable: model.trainable(),
        parameters: model.parameters(),
    }
}

/// How fast a machine multiplies large matrices, in multiply-adds a second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rates {
    /// With a weight of the type that the base is held in.
    pub of_base: f64,
    /// In f32.
    pub of_f32: f64,
}

impl Plan {
    /// About how long a step takes, in seconds.
    pub fn seconds(&self, rates: Rates) -> f64 {
        self.computation.total() / rates.of_base + self.beside_products / rates.of_f32
    }
}
