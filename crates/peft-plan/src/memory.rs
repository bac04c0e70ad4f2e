//! [`Memory`]: the bytes of a step when there are most.

use serde::Serialize;

use crate::activations::Activations;
use crate::model::{Linear, ModelSizes, Trains};
use crate::run::Run;

/// Of an f32.
pub(crate) const FLOAT: f64 = 4.0;
/// Scores that are formed at once, and their gradients beside them.
const SCORES: f64 = 2.0 * (32 << 20) as f64;
/// The program, its threads and their buffers, and what a tokenizer holds for each of its tokens:
/// as two of them (30,522 and 49,152 tokens) were seen to.
const PROGRAM: f64 = 32e6;
const TOKEN: f64 = 540.0;

/// The bytes of a step when there are most. When the loss is known, all that blocks keep is there,
/// and at the end of the way back all gradients: those come as that goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Memory {
    /// The model's weights, as they are held.
    pub weights: f64,
    /// What an adapter adds to them.
    pub adapter: f64,
    /// Vectors, or keys and values, that are read beside the text, and what makes them.
    pub prompts: f64,
    /// Gradients of what trains, of each worker its own, and beside those of a batch the sum of
    /// those before it.
    pub gradients: f64,
    /// That sum, which is there while a batch is read.
    pub carried: f64,
    /// The optimizer's moments of what trains, and what AdaLoRA keeps to choose its ranks.
    pub optimizer: f64,
    /// What blocks keep for their gradients.
    pub activations: Activations,
    /// Scores of the vocabulary, a part at a time, the states that they are of, and the gradients
    /// of an output layer that trains.
    pub loss: f64,
    /// States of a trunk that stays as it is, kept from the first epoch on.
    pub cache: f64,
    /// The program itself.
    pub program: f64,
    /// Before the first step, while weights are read: no part of the sum.
    pub loading: f64,
}

impl Memory {
    /// Most of it at once.
    pub fn total(&self) -> f64 {
        let forwards = self.carried + self.activations.total() + self.loss;
        self.weights
            + self.adapter
            + self.prompts
            + self.optimizer
            + self.gradients.max(forwards)
            + self.cache
            + self.program
    }

    pub(crate) fn of(model: &ModelSizes, run: &Run) -> Self {
        let blocks = model.blocks.iter();
        let linears = blocks.clone().flat_map(|block| &block.linears);
        let of_linears: f64 = linears
            .clone()
            .map(|linear| linear.values() * linear.bytes)
            .sum();
        let others: usize = blocks.map(|block| block.others).sum();
        let outside = (model.outside + others) as f64 * model.outside_bytes;
        // AdaLoRA's two averages of each element, as large as the two moments.
        let weighs = |linear: &&Linear| match linear.trains {
            Trains::LowRank(of) => of.diagonal,
            _ => false,
        };
        let weighed: f64 = linears.clone().filter(weighs).map(Linear::trainable).sum();
        let added: f64 = linears.map(|linear| linear.added()).sum();
        let beside = model.beside.map_or(0.0, |beside| beside.parameters());
        let (trainable, small) = (model.trainable(), model.trainable_in_small());
        let rows = run.rows as f64;
        let n = rows * (run.tokens as f64 + model.prompt_tokens() as f64);
        let read = rows * run.tokens as f64 * run.targets;
        let program = PROGRAM + TOKEN * model.tokens as f64;
        let weights = of_linears + outside;
        let largest = model.blocks.iter().flat_map(|block| &block.linears);
        let largest = largest.map(Linear::values).fold(0.0, f64::max);
        let (kept, at_most) = run.kept;
        // The first block that trains reads what the trunk gives.
        let keeps = model.first_tracked() > 0;
        let cache = if keeps {
            kept * model.d_model as f64 * FLOAT
        } else {
            0.0
        };
        let workers = run.workers as f64;
        let scores = read * model.vocabulary as f64 * 2.0 * FLOAT;
        let at_once = SCORES * workers;
        let of_a_batch = workers * trainable * FLOAT;
        let carried = if run.batches > 1 { of_a_batch } else { 0.0 };
        let head = model.vocabulary as f64 * model.d_model as f64;
        let trains = model.outside_trains as f64 >= head;
        let of_layer = if trains { head * FLOAT } else { 0.0 };
        // Those of some rows, and the sum of those before.
        let parts = if scores > at_once { 2.0 } else { 1.0 };
        let of_head = parts * workers * of_layer;
        // An embedding that is the output layer too has a gradient as each of them.
        let is_tied = model.reads_all && (model.outside as f64) < 2.0 * head;
        let twice = if is_tied { workers * of_layer } else { 0.0 };
        Self {
            weights,
            adapter: added * FLOAT,
            prompts: beside * FLOAT,
            gradients: of_a_batch + carried + twice,
            carried,
            optimizer: (run.moments * (trainable - small)
                + run.small_moments * small
                + 2.0 * weighed)
                * FLOAT,
            activations: Activations::of(model, run, n, read),
            loss: scores.min(at_once) + 2.0 * read * FLOAT * model.d_model as f64 + of_head,
            cache: cache.min(at_most),
            program,
            loading: weights + largest * FLOAT + program,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Block, LowRank, Role};

    fn frozen_block() -> Block {
        let linear = |role, d_in, d_out| Linear::frozen(role, d_in, d_out, 2.0);
        Block {
            linears: vec![
                linear(Role::AttentionInput, 4, 8),
                linear(Role::AttentionOutput, 4, 4),
                linear(Role::FeedForwardInput, 4, 12),
                linear(Role::FeedForwardOutput, 6, 4),
            ],
            queries: 4,
            keys: 2,
            window: None,
            others: 8,
            others_train: 0,
        }
    }

    #[test]
    fn each_part_is_counted_by_hand() {
        let mut block = frozen_block();
        for linear in &mut block.linears {
            linear.trains = Trains::LowRank(LowRank::new(2));
        }
        let model = ModelSizes {
            d_model: 4,
            vocabulary: 10,
            blocks: vec![block; 3],
            outside: 44,
            outside_bytes: 4.0,
            tokens: 10,
            outside_trains: 0,
            causal: true,
            reads_all: false,
            beside: None,
        };
        let of = Memory::of(&model, &Run::new(1, 5));
        assert_eq!(of.weights, 3.0 * 120.0 * 2.0 + (44.0 + 24.0) * 4.0);
        let factors = 3.0 * 2.0 * (12.0 + 8.0 + 16.0 + 10.0);
        assert_eq!(of.adapter, factors * 4.0);
        assert_eq!((of.gradients, of.optimizer), (factors * 4.0, factors * 8.0));
        // Of moments in eight bits small factors keep those in f32.
        let run = Run {
            moments: 0.5,
            ..Run::new(1, 5)
        };
        assert_eq!(Memory::of(&model, &run).optimizer, factors * 8.0);
        let mut large = model.clone();
        large.blocks[0].linears[0].trains = Trains::LowRank(LowRank::new(512));
        let (small, a, b) = (factors - 2.0 * 12.0, 512.0 * 4.0, 512.0 * 8.0);
        let expected = 4.0 * (2.0 * (small + a) + 0.5 * b);
        assert_eq!(Memory::of(&large, &run).optimizer, expected);
        // States twice, queries, keys, values, mixed, 12 into the activation, four times two of the
        // factors. Of the first block's own states the normalised ones are kept.
        let each = 5.0 * (8.0 + 8.0 + 4.0 + 12.0 + 8.0);
        assert_eq!(of.activations.total(), 4.0 * 3.0 * each);
        // A frozen A needs no input, a length the output of its layer.
        let whole = |low: LowRank| {
            let mut model = model.clone();
            for block in &mut model.blocks {
                for linear in &mut block.linears {
                    linear.trains = Trains::LowRank(low);
                }
            }
            Memory::of(&model, &Run::new(1, 5))
        };
        let varied = |low: LowRank| whole(low).activations.total();
        let frozen = LowRank {
            frozen_a: true,
            ..LowRank::new(2)
        };
        assert_eq!(varied(frozen), of.activations.total() - 4.0 * 5.0 * 4.0);
        let scaled = LowRank {
            scales_columns: true,
            ..LowRank::new(2)
        };
        assert_eq!(
            varied(scaled),
            of.activations.total() + 4.0 * 3.0 * 5.0 * (8.0 + 4.0 + 12.0 + 4.0)
        );
        // Two factors that it began with, and two averages of each element of AdaLoRA's.
        let begun = LowRank {
            initial: true,
            ..LowRank::new(2)
        };
        assert_eq!(whole(begun).adapter, 2.0 * factors * 4.0);
        assert_eq!(whole(begun).optimizer, of.optimizer);
        let chosen = LowRank {
            diagonal: true,
            ..LowRank::new(2)
        };
        let values = 3.0 * 4.0 * 2.0;
        assert_eq!(whole(chosen).optimizer, 4.0 * (factors + values) * 4.0);
        // What is made of parameters is kept by each worker, not for each position.
        let beside = |formed: f64| {
            let mut model = model.clone();
            for linear in model.blocks.iter_mut().flat_map(|of| &mut of.linears) {
                linear.trains = Trains::Beside(crate::Added {
                    parameters: 6.0,
                    products: 9.0,
                    fixed: 0.0,
                    kept: 1.0,
                    keeps_input: true,
                    formed,
                    forming: 0.0,
                });
            }
            let run = Run {
                workers: 2,
                ..Run::new(1, 5)
            };
            Memory::of(&model, &run).activations.total()
        };
        assert_eq!(beside(7.0) - beside(0.0), 2.0 * 4.0 * 3.0 * 4.0 * 7.0);
        // Gradients come as activations go; a sum of batches is there beside both.
        let rest = of.weights + of.adapter + of.optimizer + of.program;
        let forwards = of.activations.total() + of.loss;
        assert_eq!(of.total(), rest + forwards);
        let sums = Run {
            batches: 3,
            workers: 2,
            ..Run::new(1, 5)
        };
        let sums = Memory::of(&model, &sums);
        let both = 2.0 * factors * 4.0;
        assert_eq!((sums.gradients, sums.carried), (2.0 * both, both));
        assert_eq!(sums.total(), rest + both + forwards);
        let few = Memory {
            activations: Activations::default(),
            ..sums
        };
        assert_eq!(few.total(), rest + (both + few.loss).max(2.0 * both));
        // An output layer that trains has a gradient before any block has one.
        let head = ModelSizes {
            outside_trains: 40,
            ..model.clone()
        };
        let head = Memory::of(&head, &Run::new(1, 5));
        assert_eq!(head.loss, of.loss + 40.0 * 4.0);
        assert_eq!(head.gradients, of.gradients + 40.0 * 4.0);
        let tied = ModelSizes {
            outside_trains: 40,
            reads_all: true,
            ..model.clone()
        };
        let tied = Memory::of(&tied, &Run::new(1, 5));
        assert_eq!(tied.gradients, head.gradients + 40.0 * 4.0);
        // Weights as they are read are the largest layer more; a tokenizer of ten tokens.
        let program = 32e6 + 5400.0;
        assert_eq!(
            (of.program, of.loading),
            (program, of.weights + 48.0 * 4.0 + program)
        );
        // Vectors before the text are no part of the adapter, and are read like tokens.
        let beside = ModelSizes {
            blocks: vec![frozen_block(); 3],
            beside: Some(crate::Beside::Prompt {
                tokens: 2,
                parameters: 8.0,
            }),
            ..model.clone()
        };
        let beside = Memory::of(&beside, &Run::new(1, 5));
        assert_eq!((beside.adapter, beside.prompts), (0.0, 8.0 * 4.0));
        // States of a trunk: of all tokens, or as many bytes as there may be; none where the first
        // block trains.
        let mut top = model.clone();
        top.blocks[0] = frozen_block();
        let kept = |model: &ModelSizes, at_most: f64| {
            let run = Run {
                kept: (100.0, at_most),
                ..Run::new(1, 5)
            };
            Memory::of(model, &run).cache
        };
        assert_eq!(kept(&top, 1e9), 100.0 * 4.0 * 4.0);
        assert_eq!((kept(&top, 300.0), kept(&model, 1e9)), (300.0, 0.0));
        let again = Run {
            recompute: true,
            ..Run::new(1, 5)
        };
        let again = Memory::of(&model, &again);
        // Of the block that runs again, gradients of 12 and of 6 as well.
        let inner = 5.0 * (12.0 + 6.0);
        assert_eq!(again.activations.total(), 4.0 * (3.0 * 20.0 + each + inner));
    }
}
