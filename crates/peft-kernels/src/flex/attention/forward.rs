//! The forward pass: *Online normalizer calculation for softmax*, Milakov and Gimelshein 2018,
//! [arXiv:1805.02867](https://arxiv.org/abs/1805.02867); *FlashAttention-2*, Dao 2023,
//! [arXiv:2307.08691](https://arxiv.org/abs/2307.08691).

use std::f32::consts::LOG2_E;

use super::block::{Block, Inputs, Views, tile_columns, tile_rows};
use super::product::{LANES, STRIP, add_product};
use super::rowwise::{add, exp2, exponentials, max, multiply, scale, total};
use crate::attention::HIDDEN;
use crate::attention::rule::TILE;
use crate::counted::count;
use crate::flex::simd::{Arithmetic, Work};

/// What a block of queries gives.
pub(super) struct Forward<'a, 'b> {
    pub(super) inputs: &'b Inputs<'a>,
    pub(super) block: Block,
}

/// Of each row of a block.
pub(super) struct BlockOutput {
    /// The mixed values, `[rows, padded width]`.
    pub(super) out: Vec<f32>,
    /// `log₂ Σ 2^score`.
    pub(super) log_sums: Vec<f32>,
}

impl Work for Forward<'_, '_> {
    type Output = BlockOutput;

    #[inline(always)]
    fn run<A: Arithmetic>(self) -> BlockOutput {
        let Self { inputs, block } = self;
        let ((width, padded), groups) = (inputs.width(), inputs.groups());
        let rows = block.positions * groups;
        let q = inputs.rows(&inputs.q, &block, LOG2_E);
        let mut out = vec![0.0; rows * padded];
        let mut largest = vec![HIDDEN; rows];
        let mut sums = vec![[0.0; LANES]; rows];
        let mut k = vec![0.0; width * TILE];
        let mut v = vec![0.0; TILE * padded];
        let mut views = Views::new(&block);
        let mut factors = [1.0; TILE];
        let mut scores = [0.0; STRIP * TILE];
        let mut read = 0;
        for tile in 0..inputs.tiles() {
            if !views.look(inputs.rule, &block, tile) {
                continue;
            }
            tile_columns(&inputs.k, &block, tile, &mut k);
            tile_rows(&inputs.v, &block, tile, padded, &mut v);
            for first in (0..rows).step_by(STRIP) {
                let n = STRIP.min(rows - first);
                if views.hides(first, first + n - 1, groups) {
                    continue;
                }
                read += n;
                scores.fill(0.0);
                add_product::<A>(
                    (&mut scores, TILE),
                    (&q[first * padded..], padded),
                    (&k, TILE),
                    n,
                    width,
                    TILE,
                );
                for (i, scores) in scores.chunks_exact_mut(TILE).take(n).enumerate() {
                    let row = first + i;
                    if let Some(cap) = inputs.cap() {
                        cap.hold::<A>(scores);
                    }
                    if let Some(bias) = views.bias(row, groups) {
                        add(scores, bias);
                    }
                    let before = largest[row];
                    let found = max(scores);
                    if found > before {
                        let factor = exp2::<A>(before - found);
                        scale(&mut out[row * padded..][..padded], factor);
                        scale(&mut sums[row], factor);
                        largest[row] = found;
                    }
                    exponentials::<A>(scores, largest[row], &mut sums[row]);
                    if let Some((dropout, draws)) = inputs.draws(&block, row) {
                        dropout.factors(draws, tile * TILE, &mut factors);
                        multiply(scores, &factors);
                    }
                }
                add_product::<A>(
                    (&mut out[first * padded..], padded),
                    (&scores, TILE),
                    (&v, padded),
                    n,
                    TILE,
                    padded,
                );
            }
        }
        count(2 * read * TILE * width);
        let log_sums = (0..rows)
            .map(|row| {
                let sum = total(sums[row]);
                if sum == 0.0 {
                    return -HIDDEN; // of a row that sees nothing
                }
                scale(&mut out[row * padded..][..padded], 1.0 / sum);
                largest[row] + sum.log2()
            })
            .collect();
        BlockOutput { out, log_sums }
    }
}
