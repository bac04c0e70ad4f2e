#![doc = include_str!("../README.md")]

mod computation;
mod memory;
mod model;
mod run;

pub use computation::Computation;
pub use memory::Memory;
pub use model::{Added, Beside, Block, Linear, LowRank, ModelSizes, Role, Trains};
pub use run::Run;

use serde::Serialize;

/// What a step costs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Plan {
    /// Multiply-adds of a step.
    pub computation: Computation,
    /// Bytes at the moment of a step when there are most.
    pub memory: Memory,
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
        trainable: model.trainable(),
        parameters: model.parameters(),
    }
}
