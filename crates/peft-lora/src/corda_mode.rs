//! [`CordaMode`]: which parts of the weight CorDA begins with.

use serde::{Deserialize, Serialize};

/// Which directions the factors begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CordaMode {
    /// Those of the largest singular values: what the rows ask for is previewed, and learnt faster.
    /// PEFT's `ipm`.
    #[default]
    InstructionPreviewed,
    /// Those of the smallest: what the rows ask for is preserved. PEFT's `kpm`.
    KnowledgePreserved,
}
