//! [`TrunkReport`]: whether a trunk's states are kept, and if not, why.

use serde::Serialize;

/// What becomes of the trunk in a stretch of training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrunkReport {
    /// The states before this block are computed once for each row.
    Kept {
        /// The lowest block that trains; the number of blocks where none does.
        block: usize,
    },
    /// Every step runs the whole model.
    NotKept(TrunkRefusal),
}

/// Why the states of a trunk are not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrunkRefusal {
    /// The objective cannot be cut.
    #[error("the objective runs the model as a whole")]
    Objective,
    /// The model has no list of blocks.
    #[error("the model has no blocks")]
    NoBlocks,
    /// There is no block below the lowest that trains.
    #[error("the embeddings or the first block train")]
    TrainsBelow,
    /// No row would be read twice.
    #[error("the trunk is frozen for no longer than an epoch")]
    Short,
    /// Something in the trunk acts in training only.
    #[error("something below the lowest training block acts in training only, such as dropout")]
    Dropout,
    /// The trunk's states are part of the graph.
    #[error("something below the lowest training block trains, by the graph of its states")]
    Tracked,
    /// The rotation of positions depends on the batch.
    #[error("the rotation of positions depends on the length of the batch")]
    Length,
}

/// What is kept of a trunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct TrunkUse {
    /// Rows whose states are kept.
    pub rows: usize,
    /// Bytes in memory.
    pub memory: u64,
    /// Bytes on disk.
    pub disk: u64,
}
