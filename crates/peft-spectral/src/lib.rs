#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod c3a;
mod fourier_ft;
mod settings;
mod wave_ft;
mod wavelet;
mod wavelet_filters;
mod waves;

pub use c3a::{C3a, C3aConfig};
pub use fourier_ft::{FourierFt, FourierFtConfig};
pub use peft_core::{
    AdapterCost, AttachReport, ForwardPath, LayerRange, Names, Patterns, PeftError, Placed,
    Placement, SharedMatrix, Targets, Unmerged, detach, embedding, linear, merge, replace, route,
    set_active, set_disabled, unroute,
};
pub use settings::SpectrumSettings;
pub use wave_ft::{WaveFt, WaveFtBasis, WaveFtConfig};
pub use wavelet::Wavelet;
