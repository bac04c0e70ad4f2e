//! [`Attention`]: what a block's attention gets of its pass. *Attention Is All You Need*, Vaswani
//! et al. 2017, [arXiv:1706.03762](https://arxiv.org/abs/1706.03762).

use burn::tensor::Tensor;
use peft_kernels::attention;

use crate::{Context, KvCache, select_positions};

/// What a block's attention gets of its pass: what its queries see, where they are, what is cached
/// for it.
#[derive(Debug)]
pub struct Attention<'a> {
    context: &'a Context,
    block: usize,
    cache: Option<&'a mut KvCache>,
}

/// How attention weighs what it sees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scores {
    /// The factor on `Q Kᵀ`.
    pub scale: f64,
    /// Scores are held within ± this.
    pub softcap: Option<f64>,
    /// Rate of dropout of the weights, while training.
    pub dropout: f64,
}

impl Scores {
    /// `scale · Q Kᵀ`, neither bounded nor dropped out.
    pub fn new(scale: f64) -> Self {
        Self {
            scale,
            softcap: None,
            dropout: 0.0,
        }
    }
}

impl<'a> Attention<'a> {
    pub(crate) fn new(context: &'a Context, block: usize, cache: Option<&'a mut KvCache>) -> Self {
        Self {
            context,
            block,
            cache,
        }
    }

    /// Of a value of every position, those of the positions that the block's states are read at:
    /// the queries, and what joins their states.
    ///
    /// # Shapes
    ///
    /// `x` is `[batch, positions, width]`, the result `[batch, positions or read, width]`.
    pub fn queries(&self, x: Tensor<3>) -> Tensor<3> {
        match self.context.read_by(self.block) {
            Some(at) => select_positions(x, at.clone()),
            None => x,
        }
    }

    /// `softmax(c tanh(scale Q Kᵀ / c)) V` in each head over the keys that its queries see, queries
    /// and keys rotated where the block's [`Look`](crate::Look) says so; without a soft cap `c`,
    /// `softmax(scale Q Kᵀ) V`. Scores are in f32.
    ///
    /// Each key and value head serves `n_heads / n_kv_heads` query heads, one after the other.
    ///
    /// # Shapes
    ///
    /// `q` is that of [`queries`](Self::queries), `[batch, read, n_heads · head_dim]` by
    /// [`split_heads`](Self::split_heads); `k` and `v` are those of all positions,
    /// `[batch, n_kv_heads, positions, head_dim]`. The result is
    /// `[batch, read, n_heads · head_dim]`.
    pub fn attend(self, q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, scores: Scores) -> Tensor<3> {
        let context = self.context;
        let view = context.view(self.block);
        let (q, k) = match &view.rotation {
            Some(rotation) => (rotation.queries(q), rotation.keys(k)),
            None => (q, k),
        };
        let dropout = context.dropout(self.block, scores.dropout, &q.device());
        let q = q.mul_scalar(scores.scale);
        let (k, v) = self.all(k, v);
        let mixed = attention(q, k, v, &view.seen, scores.softcap, dropout);
        let [batch, n_heads, read, head_dim] = mixed.dims();
        mixed
            .swap_dims(1, 2)
            .reshape([batch, read, n_heads * head_dim])
    }

    /// Keys and values behind what was given and what is cached: for a block whose attention is its
    /// own.
    ///
    /// # Shapes
    ///
    /// `[batch, n_kv_heads, positions, head_dim]` to
    /// `[batch, n_kv_heads, cached + positions, head_dim]`.
    pub fn all(self, k: Tensor<4>, v: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let (k, v) = self.context.behind_given(self.block, (k, v));
        match self.cache {
            Some(cache) => {
                cache.set_rows(self.context.rows());
                cache.append(self.block, k, v)
            }
            None => (k, v),
        }
    }

    /// The features of each head apart.
    ///
    /// # Shapes
    ///
    /// `[batch, positions, n_heads · head_dim]` to `[batch, n_heads, positions, head_dim]`.
    pub fn split_heads(x: Tensor<3>, n_heads: usize) -> Tensor<4> {
        let [batch, positions, width] = x.dims();
        x.reshape([batch, positions, n_heads, width / n_heads])
            .swap_dims(1, 2)
    }
}
