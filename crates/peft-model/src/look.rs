//! [`Look`]: what the attention of a block sees, and how positions are rotated for it.

use peft_kernels::Sight;

use crate::RopeConfig;

/// What the attention of a block sees. What is made of it is made once a pass for all blocks that
/// look alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look<'a> {
    /// Which keys a query sees by their places.
    pub sight: Sight,
    /// How queries and keys are rotated by their places, if they are.
    pub rope: Option<&'a RopeConfig>,
}

impl Look<'_> {
    /// All keys up to a query's own position, nothing rotated.
    pub const CAUSAL: Self = Self {
        sight: Sight::CAUSAL,
        rope: None,
    };

    /// All keys, nothing rotated.
    pub const ALL: Self = Self {
        sight: Sight::ALL,
        rope: None,
    };
}
