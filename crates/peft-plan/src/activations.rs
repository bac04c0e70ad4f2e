//! [`Activations`]: what blocks keep of the forward pass for their gradients.

use serde::Serialize;

use crate::memory::FLOAT;
use crate::model::{Block, Linear, ModelSizes, Role, Trains};
use crate::run::Run;

/// What blocks keep of the forward pass for their gradients, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Activations {
    /// The states that norms read; those between blocks alone, where blocks are run again.
    pub states: f64,
    /// What attention's layers read, queries, keys and values, and what is mixed of them.
    pub attention: f64,
    /// What the feed-forward layers read, and what the activation reads and gives.
    pub feed_forward: f64,
    /// What adapters keep of their own.
    pub adapters: f64,
}

impl Activations {
    /// All of it.
    pub fn total(&self) -> f64 {
        self.states + self.attention + self.feed_forward + self.adapters
    }

    pub(crate) fn of(model: &ModelSizes, run: &Run, n: f64, read: f64) -> Self {
        let first = model.first_tracked();
        if !run.recompute {
            return Self::from(model, run, first, n, read);
        }
        // The states before each block, all of the block that keeps most, and within it gradients
        // of what the activation reads and gives: elsewhere these come when much is gone.
        let blocks = first..model.blocks.len();
        let states = FLOAT * n * model.d_model as f64 * blocks.len() as f64;
        let of = blocks.map(|i| {
            let block = Self::of_block(model, run, i, first, n, read);
            let inner = model.blocks[i].width(Role::FeedForwardInput) as f64;
            let inner = inner + inputs(&model.blocks[i], Role::FeedForwardOutput);
            Self {
                feed_forward: block.feed_forward + FLOAT * n * inner,
                ..block
            }
        });
        let largest = of.max_by(|a, b| a.total().total_cmp(&b.total()));
        let largest = largest.unwrap_or_default();
        Self {
            states: states + largest.states,
            ..largest
        }
    }

    /// Of blocks which run as if what trains began at one of them.
    pub(crate) fn from(model: &ModelSizes, run: &Run, first: usize, n: f64, read: f64) -> Self {
        let of = |i| Self::of_block(model, run, i, first, n, read);
        let blocks = first..model.blocks.len();
        blocks.map(of).fold(Self::default(), |sum, block| Self {
            states: sum.states + block.states,
            attention: sum.attention + block.attention,
            feed_forward: sum.feed_forward + block.feed_forward,
            adapters: sum.adapters + block.adapters,
        })
    }

    /// Of the keys and values at `n` positions; of all else at those, or in the last block at those
    /// that are read.
    fn of_block(model: &ModelSizes, run: &Run, i: usize, first: usize, n: f64, read: f64) -> Self {
        let block = &model.blocks[i];
        let takes_gradient = i > first || model.tracks_input();
        let here = if i + 1 == model.blocks.len() { read } else { n };
        let d = model.d_model as f64;
        let mut states = here * d;
        if takes_gradient {
            states += n * d;
        }
        // Rotated queries and keys, values, what is mixed of them.
        let mut attention = here * block.queries as f64 * 2.0 + n * 2.0 * block.keys as f64;
        // What a norm or an activation gives is made again of what these keep.
        if keeps_input(block, run, Role::AttentionInput, takes_gradient) {
            attention += n * d;
        }
        let mut feed_forward = here * block.width(Role::FeedForwardInput) as f64;
        if keeps_input(block, run, Role::FeedForwardInput, true) {
            feed_forward += here * d;
        }
        if keeps_input(block, run, Role::FeedForwardOutput, true) {
            feed_forward += here * inputs(block, Role::FeedForwardOutput);
        }
        Self {
            states: FLOAT * states,
            attention: FLOAT * attention,
            feed_forward: FLOAT * feed_forward,
            adapters: FLOAT * (here * of_adapters(block, run) + run.workers as f64 * formed(block)),
        }
    }
}

/// What the layers of a role read, together.
fn inputs(block: &Block, role: Role) -> f64 {
    let of_role = block.linears.iter().filter(|linear| linear.role == role);
    of_role.map(|linear| linear.d_in as f64).sum()
}

/// Whether a layer of a role needs what it reads for a gradient of its own: it is kept once for all
/// that read it, or not at all where what made it keeps all that it is made of.
fn keeps_input(block: &Block, run: &Run, role: Role, made_again: bool) -> bool {
    let mut of = block.linears.iter().filter(|linear| linear.role == role);
    of.any(|linear| match linear.trains {
        Trains::Whole => !made_again,
        Trains::Beside(added) => added.keeps_input && !made_again,
        // What is dropped has a copy of its own.
        Trains::LowRank(of) => !of.frozen_a && !run.dropout && !made_again,
        Trains::Scale { of_inputs } => of_inputs,
        Trains::Nothing | Trains::Bias => false,
    })
}

/// Numbers of a block's adapters at no position.
fn formed(block: &Block) -> f64 {
    let of = |linear: &Linear| match linear.trains {
        Trains::Beside(added) => added.formed,
        _ => 0.0,
    };
    block.linears.iter().map(of).sum()
}

/// Numbers at each position.
fn of_adapters(block: &Block, run: &Run) -> f64 {
    let mut kept = 0.0;
    for linear in &block.linears {
        match linear.trains {
            Trains::LowRank(of) => {
                kept += of.acting();
                if run.dropout {
                    // What is dropped, and what of it is left.
                    let copies = if of.frozen_a { 1.0 } else { 2.0 };
                    kept += copies * linear.d_in as f64;
                }
                if of.scales_columns {
                    kept += linear.d_out as f64;
                }
            }
            Trains::Beside(added) => kept += added.kept,
            // What is scaled.
            Trains::Scale { of_inputs: false } => kept += linear.d_out as f64,
            Trains::Scale { of_inputs: true } | Trains::Nothing | Trains::Bias | Trains::Whole => {}
        }
    }
    kept
}
