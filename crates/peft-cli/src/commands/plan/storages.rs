//! [`Storages`]: what weights are held as.

use peft_plan::Plan;
use peft_store::Held;

/// What weights are held as: those that are packed, and the type of the others.
#[derive(Clone)]
pub(super) struct Storages {
    pub(super) held: Held,
    pub(super) dense: String,
}

impl Storages {
    /// The name of each, and its bytes.
    pub(super) fn storages(&self) -> impl Iterator<Item = (String, usize)> {
        let packed = self.held.packed.iter();
        let packed = packed.map(|(format, (_, bytes))| (format.name().to_owned(), *bytes));
        packed.chain([(self.dense.clone(), self.held.dense_bytes)])
    }
}

/// The plan with the weights as they are held, to the byte.
pub(super) fn with_weights(plan: &mut Plan, held: &Held) {
    let memory = &mut plan.memory;
    let bytes = held.bytes() as f64;
    memory.loading += bytes - memory.weights;
    memory.weights = bytes;
}
