//! Attention by blocks of queries and tiles of keys: no matrix of weights is ever whole, and what
//! the rule hides from a whole block is passed over. *FlashAttention-2*, Dao 2023,
//! [arXiv:2307.08691](https://arxiv.org/abs/2307.08691).
//!
//! A block is a task of its own, and the order of every sum is fixed: results have the same bits on
//! any number of cores.

mod backward;
mod block;
mod forward;
mod heads;
mod product;
mod rowwise;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use self::backward::{Backward, Gradients, WantedGradients};
use self::block::Inputs;
use self::forward::{BlockOutput, Forward};
use self::heads::{Heads, join};
use super::record::{Derivative, record};
use super::simd::widest;
use crate::attention::Dropout;
use crate::attention::rule::Rule;

/// What attention knows beside queries, keys and values.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) rule: Arc<Rule>,
    pub(crate) softcap: Option<f64>,
    pub(crate) dropout: Option<Dropout>,
}

#[backend_extension(Flex, Autodiff)]
trait Attends: Backend {
    fn attend(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        spec: Spec,
    ) -> FloatTensor<Self>;
}

impl Attends for Flex {
    fn attend(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        spec: Spec,
    ) -> FloatTensor<Self> {
        Attention::new([q, k, v], spec).forward().0
    }
}

impl<C: CheckpointStrategy> Attends for Autodiff<Flex, C> {
    fn attend(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        spec: Spec,
    ) -> FloatTensor<Self> {
        record::<C, AttentionState, 3>([q, k, v], |inputs, _| {
            let attention = Attention::new(inputs, spec);
            let (out, log_sums) = attention.forward();
            let kept = AttentionState {
                attention,
                out: out.clone(),
                log_sums,
            };
            (out, kept)
        })
    }
}

/// [`attention`](crate::attention()) of tensors that are f32 on `flex`.
pub(crate) fn attend(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, spec: Spec) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as Attends>::attend(
        q.into_dispatch(),
        k.into_dispatch(),
        v.into_dispatch(),
        spec,
    ))
}

#[derive(Debug, Clone)]
struct Attention {
    q: FlexTensor,
    k: FlexTensor,
    v: FlexTensor,
    spec: Spec,
}

impl Attention {
    fn new(inputs: [FlexTensor; 3], spec: Spec) -> Self {
        let [q, k, v] = inputs.map(heads::with_whole_rows);
        Self { q, k, v, spec }
    }

    fn inputs(&self) -> Inputs<'_> {
        Inputs {
            q: Heads::of(&self.q),
            k: Heads::of(&self.k),
            v: Heads::of(&self.v),
            rule: &self.spec.rule,
            softcap: self.spec.softcap,
            dropout: self.spec.dropout,
        }
    }

    /// The mixed values, `[batch, heads, queries, head_dim]` with the heads of a query next to each
    /// other in memory, and `log₂ Σ 2^score`, `[batch, heads, queries]`.
    fn forward(&self) -> (FlexTensor, Vec<f32>) {
        let inputs = self.inputs();
        let [batch, heads, queries, width] = inputs.q.dims;
        let (kv_heads, groups, blocks) = (inputs.k.dims[1], inputs.groups(), inputs.blocks());
        let tasks = 0..batch * kv_heads * blocks;
        let of_task = |i: usize| {
            let block = inputs.get(i / blocks / kv_heads, i / blocks % kv_heads, i % blocks);
            widest(Forward {
                inputs: &inputs,
                block,
            })
        };
        let products = batch * heads * queries * inputs.k.dims[2] * width;
        let found: Vec<BlockOutput> = match products < ONE_CORE {
            true => tasks.map(of_task).collect(),
            false => tasks.into_par_iter().map(of_task).collect(),
        };
        let of = |batch: usize, head: usize, query: usize| {
            let task = (batch * kv_heads + head / groups) * blocks + query / inputs.block();
            let row = query % inputs.block() * groups + head % groups;
            (&found[task], row)
        };
        let padded = inputs.width().1;
        let out = join(inputs.q.dims, |batch, head, query, out| {
            let (found, row) = of(batch, head, query);
            out.copy_from_slice(&found.out[row * padded..][..out.len()]);
        });
        let log_sums = (0..batch * heads * queries)
            .map(|i| {
                let (found, row) = of(i / queries / heads, i / queries % heads, i % queries);
                found.log_sums[row]
            })
            .collect();
        (out, log_sums)
    }
}

/// What the gradients are made of: the inputs, the output and a number for each row of it.
#[derive(Debug, Clone)]
struct AttentionState {
    attention: Attention,
    out: FlexTensor,
    log_sums: Vec<f32>,
}

/// Multiplications of a score matrix that is sooner computed by one core than others would begin:
/// that of a token behind some hundred.
const ONE_CORE: usize = 1 << 17;

/// Tasks that are enough for many cores. It does not depend on how many there are: sums do on it.
const TASKS: usize = 24;

impl Derivative<3> for AttentionState {
    fn gradients(self, grad: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let grad = heads::with_whole_rows(grad);
        let inputs = self.attention.inputs();
        let [batch, ..] = inputs.q.dims;
        let (kv_heads, groups, blocks) = (inputs.k.dims[1], inputs.groups(), inputs.blocks());
        // The gradients of keys and values are sums over all queries: each task has one of some.
        let shares = blocks.min(TASKS.div_ceil(batch * kv_heads));
        let found: Vec<Gradients> = (0..batch * kv_heads * shares)
            .into_par_iter()
            .map(|i| {
                let of_task = (i % shares..blocks).step_by(shares);
                let get = |j| inputs.get(i / shares / kv_heads, i / shares % kv_heads, j);
                widest(Backward {
                    inputs: &inputs,
                    out: Heads::of(&self.out),
                    grad: Heads::of(&grad),
                    log_sums: &self.log_sums,
                    blocks: of_task.map(get).collect(),
                    wanted: WantedGradients(wanted),
                })
            })
            .collect();
        let padded = inputs.width().1;
        let task = |batch: usize, kv_head: usize| (batch * kv_heads + kv_head) * shares;
        let of_q = wanted[0].then(|| {
            join(inputs.q.dims, |batch, head, query, out| {
                let block = query / inputs.block();
                let task = task(batch, head / groups) + block % shares;
                let row = query % inputs.block() * groups + head % groups;
                let of_block = &found[task].q[block / shares];
                out.copy_from_slice(&of_block[row * padded..][..out.len()]);
            })
        });
        let sums = |part: fn(&Gradients) -> &[f32]| {
            join(inputs.k.dims, |batch, head, key, out| {
                let first = task(batch, head);
                for found in &found[first..first + shares] {
                    for (out, x) in out.iter_mut().zip(&part(found)[key * padded..]) {
                        *out += x;
                    }
                }
            })
        };
        [
            of_q,
            wanted[1].then(|| sums(|found| &found.k)),
            wanted[2].then(|| sums(|found| &found.v)),
        ]
    }
}
