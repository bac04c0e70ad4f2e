//! The learning rate of a method where the caller gives none.

use super::Method;

impl Method {
    /// The peak learning rate; every method has its own, since what trains differs in size and in where it starts.
    pub(crate) fn default_lr(self) -> f64 {
        match self {
            Self::Lora => 1e-3,
            Self::Ia3
            | Self::PromptTuning
            | Self::PTuning
            | Self::PrefixTuning
            | Self::Full
            | Self::Head
            | Self::TopLayers
            | Self::FreezeBottom
            | Self::Bitfit
            | Self::Norms
            | Self::Matching
            | Self::Gradual
            | Self::Lisa
            | Self::Badam => 2e-4,
        }
    }
}
