//! [`PrefixShape`]: the keys and values of a model.

use peft_model::Transformer;
use serde::{Deserialize, Serialize};

/// How many keys and values a model has at a position, and how wide they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefixShape {
    /// Layers, each with keys and values of its own.
    pub n_layers: usize,
    /// Heads of the keys and values: fewer than those of the queries where these share them.
    pub n_kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
}

impl PrefixShape {
    /// So many layers, each with `n_kv_heads` heads of keys and values of this width.
    pub fn new(n_layers: usize, n_kv_heads: usize, head_dim: usize) -> Self {
        Self {
            n_layers,
            n_kv_heads,
            head_dim,
        }
    }

    /// That of a model.
    pub fn of<M: Transformer>(model: &M) -> Self {
        let (n_kv_heads, head_dim) = model.kv_shape();
        Self::new(model.n_blocks(), n_kv_heads, head_dim)
    }

    /// All keys of a layer at a position: `n_kv_heads · head_dim`.
    pub fn width(&self) -> usize {
        self.n_kv_heads * self.head_dim
    }

    /// The keys and values of all layers at a position: `n_layers · 2 · width`.
    pub fn flat_width(&self) -> usize {
        self.n_layers * 2 * self.width()
    }
}
