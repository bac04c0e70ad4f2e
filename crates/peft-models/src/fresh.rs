//! Fresh layers: normal weights, biases zero.

use burn::nn::{Dropout, DropoutConfig, Embedding, EmbeddingConfig, Initializer, Linear};
use burn::tensor::Device;

/// Standard deviation of most fresh weights.
pub(crate) const INIT_STD: f64 = 0.02;

fn normal(std: f64) -> Initializer {
    Initializer::Normal { mean: 0.0, std }
}

/// A linear layer with weights `N(0, std²)`.
pub(crate) fn linear([d_in, d_out]: [usize; 2], bias: bool, std: f64, device: &Device) -> Linear {
    Linear {
        weight: normal(std).init([d_in, d_out], device),
        bias: bias.then(|| Initializer::Zeros.init([d_out], device)),
    }
}

/// An embedding with weights `N(0, 0.02²)`.
pub(crate) fn embedding(rows: usize, d_model: usize, device: &Device) -> Embedding {
    EmbeddingConfig::new(rows, d_model)
        .with_initializer(normal(INIT_STD))
        .init(device)
}

/// The rate of dropout of attention's weights that a layer asks for.
pub(crate) fn rate(dropout: &Dropout) -> f64 {
    match dropout.training.is_enabled() {
        true => dropout.prob,
        false => 0.0,
    }
}

/// Dropout, which acts while training only.
pub(crate) fn dropout(rate: f64) -> Dropout {
    DropoutConfig::new(rate).init()
}
