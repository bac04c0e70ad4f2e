//! [`Computation`]: the multiply-adds of a step.

use serde::Serialize;

use crate::model::{Block, ModelSizes, Trains};
use crate::run::Run;

/// The products of attention: scores and mixed values forwards; backwards the scores again, and one
/// for each of the gradients of weights, values, queries and keys.
const ATTENTION_FORWARD: f64 = 2.0;
const ATTENTION_BACKWARD: f64 = 5.0;

/// The multiply-adds of a step, by part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Computation {
    /// The model's own layers, forwards.
    pub forward: f64,
    /// Attention between positions, forwards.
    pub attention: f64,
    /// The output layer and its gradient, at the targets.
    pub head: f64,
    /// Gradients of the states, through the model's own layers and attention.
    pub gradient_of_inputs: f64,
    /// Gradients of the model's own weights, of those that train.
    pub gradient_of_weights: f64,
    /// Adapters, forwards and their gradients.
    pub adapter: f64,
    /// Blocks that are run again for their gradients.
    pub recomputation: f64,
}

impl Computation {
    /// All of it.
    pub fn total(&self) -> f64 {
        self.forward
            + self.attention
            + self.head
            + self.gradient_of_inputs
            + self.gradient_of_weights
            + self.adapter
            + self.recomputation
    }

    pub(crate) fn of(model: &ModelSizes, run: &Run) -> Self {
        let rows = run.rows as f64 * run.batches as f64;
        let positions = run.tokens as f64 + model.prompt_tokens() as f64;
        let n = rows * positions;
        let read = rows * run.tokens as f64 * run.targets;
        let tracked = model.first_tracked();
        let mut of = Self::default();
        for (i, block) in model.blocks.iter().enumerate() {
            let is_last = i + 1 == model.blocks.len();
            let is_tracked = i >= tracked;
            let takes_gradient = i > tracked || model.tracks_input();
            let seen = rows * seen(model, block, positions, model.prefix_tokens());
            let attention = seen * block.queries as f64;
            let (mut forward, mut inputs, mut adapter) = (0.0, 0.0, 0.0);
            // Products with fixed factors, which have one gradient and not two.
            let mut fixed = 0.0;
            for linear in &block.linears {
                use crate::Role::AttentionInput;
                // The last block runs at the positions that are read; its keys and values at all.
                let here = match (is_last, linear.role) {
                    (true, AttentionInput) => {
                        let keys = 2.0 * block.keys as f64;
                        let all = block.width(AttentionInput).max(1) as f64;
                        (keys * n + (all - keys).max(0.0) * read) / all
                    }
                    (true, _) => read,
                    (false, _) => n,
                };
                let product = here * linear.values();
                forward += product;
                let reads_tracked = takes_gradient || (is_tracked && linear.role != AttentionInput);
                if is_tracked && reads_tracked {
                    inputs += product;
                }
                match linear.trains {
                    Trains::Whole => of.gradient_of_weights += product,
                    Trains::LowRank(low) => {
                        let first = here * low.acting() * linear.d_in as f64;
                        let factors = first + here * low.acting() * linear.d_out as f64;
                        let unformed = usize::from(!reads_tracked) + usize::from(low.frozen_a);
                        adapter += 3.0 * factors - unformed as f64 * first;
                        if low.scales_columns {
                            // Norms: a product of as many rows as the rank with the weight; and
                            // what is dropped is dropped from the weight's own rows too.
                            let again = if run.dropout { product } else { 0.0 };
                            let steps = run.batches as f64 * run.workers as f64;
                            adapter += steps * low.acting() * linear.values() + again;
                        }
                    }
                    Trains::Beside(added) => {
                        let passes = run.batches as f64 * run.workers as f64;
                        adapter += here * (3.0 * added.products - added.fixed);
                        fixed += here * added.fixed;
                        adapter += passes * added.forming;
                    }
                    Trains::Nothing | Trains::Bias | Trains::Scale { .. } => {}
                }
            }
            let share = if is_last { run.targets } else { 1.0 };
            if is_tracked || !run.cached {
                of.forward += forward;
                of.attention += ATTENTION_FORWARD * attention * share;
            }
            of.adapter += adapter;
            of.gradient_of_inputs += inputs;
            if is_tracked {
                of.gradient_of_inputs += ATTENTION_BACKWARD * attention * share;
                if run.recompute {
                    of.recomputation += forward + ATTENTION_FORWARD * attention * share;
                    of.recomputation += (adapter + fixed) / 3.0;
                }
            }
        }
        let head = read * model.d_model as f64 * model.vocabulary as f64;
        let learns = model.trainable() > 0.0;
        of.head = head * if learns { 2.0 } else { 1.0 };
        if model.reads_all {
            of.gradient_of_weights += head;
        }
        of
    }
}

/// Pairs of a query and a key that it sees, of a row.
fn seen(model: &ModelSizes, block: &Block, n: f64, before: usize) -> f64 {
    let window = block.window.map_or(n, |window| (window as f64).min(n));
    let pairs = match model.causal {
        // Queries that see all before them, then those that see a window.
        true => window * (window + 1.0) / 2.0 + (n - window) * window,
        false => n * (2.0 * window).min(n),
    };
    pairs + n * before as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Linear, LowRank, Role};

    fn model() -> ModelSizes {
        let linear = |role, d_in, d_out| Linear::frozen(role, d_in, d_out, 4.0);
        let block = Block {
            linears: vec![
                linear(Role::AttentionInput, 4, 8),
                linear(Role::AttentionOutput, 4, 4),
                linear(Role::FeedForwardInput, 4, 6),
                linear(Role::FeedForwardOutput, 6, 4),
            ],
            queries: 4,
            keys: 2,
            window: None,
            others: 8,
            others_train: 0,
        };
        ModelSizes {
            d_model: 4,
            vocabulary: 10,
            blocks: vec![block; 2],
            outside: 44,
            outside_bytes: 4.0,
            tokens: 10,
            outside_trains: 0,
            causal: true,
            reads_all: false,
            beside: None,
        }
    }

    /// Counted by hand.
    #[test]
    fn a_frozen_model_computes_forwards_alone() {
        let of = Computation::of(&model(), &Run::new(2, 3));
        assert_eq!(of.forward, 2.0 * 6.0 * 96.0);
        // Six pairs a row, of two rows and two blocks, twice.
        assert_eq!(of.attention, 2.0 * (2.0 * 6.0 * 4.0) * 2.0);
        assert_eq!(of.head, 6.0 * 40.0);
        assert_eq!(of.total(), of.forward + of.attention + of.head);
    }

    #[test]
    fn what_trains_decides_what_gets_a_gradient() {
        let mut model = model();
        model.blocks[1].linears[0].trains = Trains::LowRank(LowRank::new(2));
        let of = Computation::of(&model, &Run::new(1, 3));
        // Nothing before the second block, and nothing of its states.
        assert_eq!(of.gradient_of_inputs, 3.0 * 64.0 + 5.0 * 6.0 * 4.0);
        assert_eq!(of.adapter, 3.0 * (3.0 * 24.0 - 8.0));
        assert_eq!(of.gradient_of_weights, 0.0);
        // Without the gradient of `A`; with norms, of two rows with the weight.
        let low = LowRank {
            frozen_a: true,
            scales_columns: true,
            ..LowRank::new(2)
        };
        model.blocks[1].linears[0].trains = Trains::LowRank(low);
        let varied = Computation::of(&model, &Run::new(1, 3));
        assert_eq!(varied.adapter, of.adapter - 3.0 * 8.0 + 2.0 * 32.0);
        // Of factors that do not train there is no gradient, and they are run again all the same.
        let added = |fixed: f64, recompute: bool| {
            let mut model = model.clone();
            model.blocks[1].linears[0].trains = Trains::Beside(crate::Added {
                parameters: 6.0,
                products: 9.0,
                fixed,
                kept: 0.0,
                keeps_input: false,
                formed: 0.0,
                forming: 0.0,
            });
            let run = Run {
                recompute,
                ..Run::new(1, 3)
            };
            Computation::of(&model, &run)
        };
        let (trains, is_fixed) = (added(0.0, true), added(9.0, true));
        assert_eq!(trains.adapter - is_fixed.adapter, 3.0 * 9.0);
        assert_eq!(trains.recomputation, is_fixed.recomputation);
        model.blocks[0].linears[3].trains = Trains::Whole;
        let of = Computation::of(&model, &Run::new(1, 3));
        assert_eq!(of.gradient_of_weights, 3.0 * 24.0);
        let again = Run {
            recompute: true,
            ..Run::new(1, 3)
        };
        let again = Computation::of(&model, &again);
        assert!(again.recomputation >= again.forward + again.attention);
    }

    #[test]
    fn a_cached_trunk_is_not_computed() {
        let mut model = model();
        for linear in &mut model.blocks[1].linears {
            linear.trains = Trains::Whole;
        }
        let of = |cached| {
            let run = Run {
                cached,
                ..Run::new(1, 5)
            };
            Computation::of(&model, &run)
        };
        let (computed, cached) = (of(false), of(true));
        // The first block: its layers at five positions, and two products of fifteen pairs.
        assert_eq!(computed.forward - cached.forward, 5.0 * 96.0);
        assert_eq!(computed.attention - cached.attention, 2.0 * 15.0 * 4.0);
        assert_eq!(computed.gradient_of_inputs, cached.gradient_of_inputs);
    }

    #[test]
    fn windows_and_prefixes_change_what_is_seen() {
        let mut model = model();
        let block = model.blocks[0].clone();
        assert_eq!(seen(&model, &block, 4.0, 0), 10.0);
        assert_eq!(seen(&model, &block, 4.0, 3), 22.0);
        let narrow = Block {
            window: Some(2),
            ..block
        };
        // 1, 2, 2, 2.
        assert_eq!(seen(&model, &narrow, 4.0, 0), 7.0);
        model.causal = false;
        assert_eq!(seen(&model, &model.blocks[1], 4.0, 0), 16.0);
    }
}
