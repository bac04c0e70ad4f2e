//! The backward pass: the weights again, of the scores and the log-sums, tile by tile.

use std::f32::consts::{LN_2, LOG2_E};

use super::block::{Block, Inputs, Views, tile_columns, tile_rows};
use super::heads::Heads;
use super::product::{STRIP, add_product, add_transposed};
use super::rowwise::{add, exp2, multiply, scale};
use crate::attention::rule::TILE;
use crate::counted::count;
use crate::flex::simd::{Arithmetic, Work};

/// Whether the gradients of queries, keys and values are wanted.
pub(super) struct WantedGradients(pub(super) [bool; 3]);

/// What some blocks of queries of one group of heads give.
pub(super) struct Backward<'a, 'b> {
    pub(super) inputs: &'b Inputs<'a>,
    pub(super) out: Heads<'a>,
    pub(super) grad: Heads<'a>,
    /// `log₂ Σ 2^score`, `[batch, heads, positions]`.
    pub(super) log_sums: &'b [f32],
    pub(super) blocks: Vec<Block>,
    pub(super) wanted: WantedGradients,
}

pub(super) struct Gradients {
    /// Of each block's queries, `[rows, padded width]`.
    pub(super) q: Vec<Vec<f32>>,
    /// The share of these blocks, `[tiles · TILE, padded width]`.
    pub(super) k: Vec<f32>,
    pub(super) v: Vec<f32>,
}

impl Work for Backward<'_, '_> {
    type Output = Gradients;

    #[inline(always)]
    fn run<A: Arithmetic>(self) -> Gradients {
        let inputs = self.inputs;
        let WantedGradients([of_queries, of_keys, of_values]) = self.wanted;
        let (width, padded) = inputs.width();
        let groups = inputs.groups();
        let all = |wanted| {
            vec![
                0.0;
                if wanted {
                    inputs.tiles() * TILE * padded
                } else {
                    0
                }
            ]
        };
        let mut of_k = all(of_keys);
        let mut of_v = all(of_values);
        let mut of_q = Vec::with_capacity(self.blocks.len());
        let mut k = vec![0.0; TILE * padded];
        let mut k_columns = vec![0.0; width * TILE];
        let mut v_columns = vec![0.0; width * TILE];
        let mut factors = [1.0; TILE];
        let mut read = 0;
        for block in &self.blocks {
            let rows = block.positions * groups;
            let q = inputs.rows(&inputs.q, block, LOG2_E);
            let grad = inputs.rows(&self.grad, block, 1.0);
            let means = self.means(block);
            let log_sums = self.log_sums(block);
            let mut views = Views::new(block);
            let mut weights = vec![0.0; rows * TILE];
            let mut of_scores = vec![0.0; rows * TILE];
            let mut grad_of_q = vec![0.0; if of_queries { rows * padded } else { 0 }];
            for tile in 0..inputs.tiles() {
                if !views.look(inputs.rule, block, tile) {
                    continue;
                }
                tile_columns(&inputs.k, block, tile, &mut k_columns);
                tile_columns(&inputs.v, block, tile, &mut v_columns);
                tile_rows(&inputs.k, block, tile, padded, &mut k);
                weights.fill(0.0);
                of_scores.fill(0.0);
                let mut seen = rows..0;
                for first in (0..rows).step_by(STRIP) {
                    let n = STRIP.min(rows - first);
                    if views.hides(first, first + n - 1, groups) {
                        continue;
                    }
                    seen = seen.start.min(first)..first + n;
                    read += (2 + usize::from(of_queries)) * n;
                    let weights = &mut weights[first * TILE..][..n * TILE];
                    let of_scores = &mut of_scores[first * TILE..][..n * TILE];
                    add_product::<A>(
                        (weights, TILE),
                        (&q[first * padded..], padded),
                        (&k_columns, TILE),
                        n,
                        width,
                        TILE,
                    );
                    add_product::<A>(
                        (of_scores, TILE),
                        (&grad[first * padded..], padded),
                        (&v_columns, TILE),
                        n,
                        width,
                        TILE,
                    );
                    let both = weights
                        .chunks_exact_mut(TILE)
                        .zip(of_scores.chunks_exact_mut(TILE));
                    for (i, (weights, of_scores)) in both.enumerate() {
                        let row = first + i;
                        let draws = inputs.draws(block, row);
                        if let Some((dropout, draws)) = draws {
                            dropout.factors(draws, tile * TILE, &mut factors);
                            multiply(of_scores, &factors);
                        }
                        for x in of_scores.iter_mut() {
                            *x -= means[row];
                        }
                        if let Some(cap) = inputs.cap() {
                            cap.hold::<A>(weights);
                            let inverse = 1.0 / cap.at;
                            for (x, s) in of_scores.iter_mut().zip(&*weights) {
                                let t = *s * inverse;
                                *x *= 1.0 - t * t;
                            }
                        }
                        if let Some(bias) = views.bias(row, groups) {
                            add(weights, bias);
                        }
                        for (weight, x) in weights.iter_mut().zip(of_scores.iter_mut()) {
                            *weight = exp2::<A>(*weight - log_sums[row]);
                            // All of the weight, on a row's only key: no rounding is left of
                            // a difference that is zero.
                            *x = if *weight == 1.0 { 0.0 } else { *x * *weight };
                        }
                        if draws.is_some() {
                            multiply(weights, &factors);
                        }
                    }
                    if of_queries {
                        add_product::<A>(
                            (&mut grad_of_q[first * padded..], padded),
                            (of_scores, TILE),
                            (&k, padded),
                            n,
                            TILE,
                            padded,
                        );
                    }
                }
                let at = tile * TILE * padded;
                let n = seen.len();
                read += (usize::from(of_keys) + usize::from(of_values)) * n;
                if of_keys {
                    add_transposed::<A>(
                        (&mut of_k[at..], padded),
                        (&of_scores[seen.start * TILE..], TILE),
                        (&q[seen.start * padded..], padded),
                        TILE,
                        n,
                        padded,
                    );
                }
                if of_values {
                    add_transposed::<A>(
                        (&mut of_v[at..], padded),
                        (&weights[seen.start * TILE..], TILE),
                        (&grad[seen.start * padded..], padded),
                        TILE,
                        n,
                        padded,
                    );
                }
            }
            of_q.push(grad_of_q);
        }
        count(read * TILE * width);
        scale(&mut of_k, LN_2); // queries were in units of ln 2
        Gradients {
            q: of_q,
            k: of_k,
            v: of_v,
        }
    }
}

impl Backward<'_, '_> {
    /// Of each row, what softmax takes from the gradient of its scores: `Σ out ∘ grad`.
    #[inline(always)]
    fn means(&self, block: &Block) -> Vec<f32> {
        self.each(block, |head, position| {
            let out = self.out.row(block.batch, head, position);
            let grad = self.grad.row(block.batch, head, position);
            let mut sum = 0.0f64;
            for (out, grad) in out.iter().zip(grad) {
                sum += f64::from(*out) * f64::from(*grad);
            }
            sum as f32
        })
    }

    fn log_sums(&self, block: &Block) -> Vec<f32> {
        let [_, heads, read, _] = self.inputs.q.dims;
        self.each(block, |head, position| {
            self.log_sums[(block.batch * heads + head) * read + position]
        })
    }

    #[inline(always)]
    fn each(&self, block: &Block, of: impl Fn(usize, usize) -> f32) -> Vec<f32> {
        let groups = self.inputs.groups();
        (0..block.positions * groups)
            .map(|row| {
                of(
                    block.kv_head * groups + row % groups,
                    block.first + row / groups,
                )
            })
            .collect()
    }
}
