//! [`BlockPlace`]: where in a model a parameter lies.

use std::fmt;

/// Where a parameter lies, from the input to the output; places compare in that order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlockPlace {
    /// Before the first block: embeddings, and what a model reads beside its text.
    Below,
    /// In the block of this index.
    Block(usize),
    /// Behind the last block: a final norm, a pooling layer, a head.
    Above,
}

impl fmt::Display for BlockPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Below => f.write_str("below the blocks"),
            Self::Block(index) => write!(f, "block {index}"),
            Self::Above => f.write_str("above the blocks"),
        }
    }
}
