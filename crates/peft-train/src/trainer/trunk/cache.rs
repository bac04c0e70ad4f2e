//! [`TrunkCache`]: where states are kept.

use std::path::PathBuf;

/// Where the states are kept that a frozen trunk gives, and how many in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrunkCache {
    /// Bytes kept in memory; what is more goes to a temporary file.
    pub memory: u64,
    /// Where that file is made; the system's place for temporary files where none. It has no name,
    /// and is gone with the run.
    pub directory: Option<PathBuf>,
}

impl Default for TrunkCache {
    /// A gibibyte in memory.
    fn default() -> Self {
        Self {
            memory: 1 << 30,
            directory: None,
        }
    }
}
