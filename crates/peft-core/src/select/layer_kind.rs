//! [`LayerKind`]: which layers adapters can be on.

use std::fmt;

/// A kind of layer that adapters can attach to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LayerKind {
    /// [`burn::nn::Linear`].
    Linear,
    /// [`burn::nn::Embedding`].
    Embedding,
    /// [`burn::nn::conv::Conv1d`] or [`burn::nn::conv::Conv2d`].
    Conv,
}

impl fmt::Display for LayerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Linear => "Linear",
            Self::Embedding => "Embedding",
            Self::Conv => "convolution",
        })
    }
}
