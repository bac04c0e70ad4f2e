//! [`Run`]: how a step goes over its rows.

/// How a step goes over its rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Rows of a batch, padded or packed, as the model reads them.
    pub rows: usize,
    /// Tokens of each.
    pub tokens: usize,
    /// Batches in a step.
    pub batches: usize,
    /// The part of tokens whose next one is asked for: 1 where all are targets.
    pub targets: f64,
    /// Whether each block is run again for its gradients.
    pub recompute: bool,
    /// Whether what adapters read is dropped out, of which a copy is kept for each.
    pub dropout: bool,
    /// Whether the states before the first block that trains are kept and read, not computed.
    pub cached: bool,
    /// Tokens of all rows whose states are kept in memory where `cached`, and the bytes that they
    /// may take there.
    pub kept: (f64, f64),
    /// Threads that share the rows of a batch.
    pub workers: usize,
    /// Numbers in f32 that the optimizer keeps of each number that trains: AdamW 2, Lion 1.
    pub moments: f64,
    /// The same of what trains in tensors of fewer than [`SMALL`] numbers.
    pub small_moments: f64,
}

/// Tensors of fewer numbers keep their moments in f32 where others have them in eight bits.
pub const SMALL: f64 = 4096.0;

impl Run {
    /// A batch of rows of so many tokens, every one a target.
    pub fn new(rows: usize, tokens: usize) -> Self {
        Self {
            rows,
            tokens,
            batches: 1,
            targets: 1.0,
            recompute: false,
            dropout: false,
            cached: false,
            kept: (0.0, 0.0),
            workers: 1,
            moments: 2.0,
            small_moments: 2.0,
        }
    }
}
