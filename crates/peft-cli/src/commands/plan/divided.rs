//! [`Divided`]: what each of several devices holds where they have the blocks of one model.

use peft_plan::Plan;
use serde_json::{Value, json};

use super::table::bytes;
use crate::args::PlanArgs;

/// A model whose blocks are divided among devices.
pub(super) struct Divided {
    number: usize,
    /// What is divided: weights, what trains of them, what blocks keep.
    each: f64,
    /// What the first has beside that.
    first: f64,
    /// States of a batch on their way through all devices, and back to the first.
    states: f64,
}

impl Divided {
    /// By the plan of a step on one device; none where no blocks are to be divided.
    pub(super) fn of(args: &PlanArgs, plan: &Plan, d_model: usize) -> Option<Self> {
        let (number, memory) = (args.devices, &plan.memory);
        if number < 2 || !args.model.split_model {
            return None;
        }
        let beside = memory.loss + memory.prompts + memory.cache + memory.program;
        let of_blocks = memory.total() - beside;
        let sides = [args.batch_size, args.grad_accum, args.max_length, d_model];
        let of_states: f64 = sides.iter().map(|n| *n as f64).product();
        Some(Self {
            number,
            each: of_blocks / number as f64,
            first: beside,
            states: of_states * size_of::<f32>() as f64 * number as f64,
        })
    }

    pub(super) fn text(&self) -> String {
        format!(
            "\nblocks divided among {} devices: about {} of memory on each, and {} more on the first\na step moves at most {} of states from one to the next and back to the first, and as many of gradients",
            self.number,
            bytes(self.each),
            bytes(self.first),
            bytes(self.states),
        )
    }

    pub(super) fn as_json(&self) -> Value {
        json!({
            "number": self.number,
            "memory": self.each,
            "more_on_the_first": self.first,
            "bytes_each_way": self.states,
        })
    }
}
