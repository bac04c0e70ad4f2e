//! What a step takes beside its products.

use crate::activations::Activations;
use crate::model::{Block, Linear, ModelSizes, Trains};
use crate::run::Run;

/// Of a byte that blocks keep, forwards and backwards: norms, activations, rotations, softmax.
/// These five were fitted to the steps of `cargo xtask bench plan` on one quiet machine, at whose
/// rate of f32 products they are multiply-adds.
const A_BYTE: f64 = 220.0;
/// Of a value of a weight, which a batch's products pack twice.
const A_WEIGHT: f64 = 245.0;
/// Of a value in blocks of few bits, which they unpack.
const A_PACKED: f64 = 185.0;
/// Of a value that is dropped or kept by chance.
const A_DRAW: f64 = 1900.0;
/// Of a value that trains, which is clipped and updated.
const A_TRAINED: f64 = 1500.0;
/// The share of a block's work that is left where nothing of it gets a gradient.
const FORWARD: f64 = 0.4;

/// The f32 multiply-adds that take as long.
pub(crate) fn beside_products(model: &ModelSizes, run: &Run) -> f64 {
    let plain = Run {
        recompute: false,
        ..run.clone()
    };
    let rows = run.rows as f64;
    let n = rows * (run.tokens as f64 + model.prompt_tokens() as f64);
    let read = rows * run.tokens as f64 * run.targets;
    let of = |from: usize| Activations::from(model, &plain, from, n, read).total();
    let (tracked, all) = (of(model.first_tracked()), of(0));
    let below = if run.cached { 0.0 } else { all - tracked };
    let again = if run.recompute { 1.5 } else { 1.0 };
    let bytes = tracked * again + FORWARD * below;
    let weight = |linear: &Linear| {
        let packed = if linear.bytes < 2.0 { A_PACKED } else { 0.0 };
        linear.values() * (A_WEIGHT + packed)
    };
    let weights: f64 = model
        .blocks
        .iter()
        .flat_map(|block| &block.linears)
        .map(weight)
        .sum();
    let outside = model.vocabulary as f64 * model.d_model as f64 * A_WEIGHT;
    let drawn = |block: &Block| -> f64 {
        let drops = |linear: &&Linear| matches!(linear.trains, Trains::LowRank(_));
        let linears = block.linears.iter().filter(drops);
        linears.map(|linear| linear.d_in as f64).sum()
    };
    let draws: f64 = match run.dropout {
        true => model.blocks.iter().map(drawn).sum::<f64>() * n,
        false => 0.0,
    };
    let updates = model.trainable() * A_TRAINED;
    run.batches as f64 * (bytes * A_BYTE + weights + outside + draws * A_DRAW) + updates
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LowRank, Role};

    #[test]
    fn what_is_no_product_grows_with_rows_and_with_what_is_done_again() {
        let block = Block {
            linears: vec![Linear {
                trains: Trains::LowRank(LowRank::new(2)),
                ..Linear::frozen(Role::AttentionInput, 8, 24, 4.0)
            }],
            queries: 8,
            keys: 8,
            window: None,
            others: 8,
            others_train: 0,
        };
        let mut model = ModelSizes {
            d_model: 8,
            vocabulary: 10,
            blocks: vec![block; 2],
            outside: 80,
            outside_bytes: 4.0,
            tokens: 10,
            outside_trains: 0,
            causal: true,
            reads_all: false,
            beside: None,
        };
        let run = Run::new(1, 16);
        let of = |model: &ModelSizes, run: &Run| beside_products(model, run);
        let once = of(&model, &run);
        let updates = model.trainable() * A_TRAINED;
        let fixed = (2.0 * 8.0 * 24.0 + 80.0) * A_WEIGHT + updates;
        let longer = of(&model, &Run::new(1, 32));
        assert!((longer - fixed - 2.0 * (once - fixed)).abs() < 1e-6 * once);
        let twice = Run {
            batches: 2,
            ..run.clone()
        };
        // What trains is updated once.
        assert!((of(&model, &twice) - 2.0 * once + updates).abs() < 1e-6 * once);
        let again = Run {
            recompute: true,
            ..run.clone()
        };
        assert!((of(&model, &again) - fixed - 1.5 * (once - fixed)).abs() < 1e-6 * once);
        let dropped = Run {
            dropout: true,
            ..run.clone()
        };
        assert!(of(&model, &dropped) > once);
        for block in &mut model.blocks {
            block.linears[0].bytes = 0.5;
        }
        let packed = 2.0 * 8.0 * 24.0 * A_PACKED;
        assert!((of(&model, &run) - once - packed).abs() < 1e-6 * once);
    }
}
