//! [`Method`]: the methods by name, and which of them are alike.

use clap::ValueEnum;
use serde::Serialize;

/// What to train.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Method {
    /// Low-rank adapters
    Lora,
    /// Low-rank adapters whose ranks go where they matter
    Adalora,
    /// Learned rescaling of keys, values and the feed-forward input
    Ia3,
    /// Element-wise products of two low-rank products
    Loha,
    /// Kronecker products
    Lokr,
    /// Vectors on random matrices that all layers share
    Vera,
    /// Vectors on so many of those that together they are of full rank
    Randlora,
    /// Low-rank products mixed of the vectors of one bank that all layers share
    Vblora,
    /// Rotations of blocks of what a layer reads
    Oft,
    /// Several rotations of unlike blocks, and a scale of each output
    Boft,
    /// Reflections of what a layer reads
    Hra,
    /// Rotations of pairs of what a layer gives
    Road,
    /// One block of rows that all runs of what a layer reads share
    Miss,
    /// Low-rank products of the weight's own elements
    Hira,
    /// Low-rank products of a bounded norm
    Delora,
    /// Low-rank products of blocks of the weight
    Gralora,
    /// Values of the weight at few places
    Shira,
    /// Coefficients of a Fourier transform of the weight's change
    Fourierft,
    /// Circulant blocks, of one row each
    C3a,
    /// Coefficients of a wavelet transform of the weight's change
    Waveft,
    /// Rows of the embedding, those of --token-ids
    TrainableTokens,
    /// Vectors before the input
    PromptTuning,
    /// Vectors before the input, made by an encoder that trains with them
    PTuning,
    /// Keys and values before those of every layer
    PrefixTuning,
    /// All parameters
    Full,
    /// The head alone
    Head,
    /// The last --layers blocks, the final norm and the head
    TopLayers,
    /// All but the embeddings and the first --layers blocks
    FreezeBottom,
    /// Biases
    Bitfit,
    /// Weights and biases of normalisation layers
    Norms,
    /// The parameters whose paths match --params
    Matching,
    /// One more block every --every steps, from the top or the bottom
    Gradual,
    /// --layers blocks drawn anew every --every steps, embeddings and head always
    Lisa,
    /// One block at a time, --every steps each
    Badam,
}

impl Method {
    /// What trains parameters of the model itself.
    pub(crate) fn is_layerwise(self) -> bool {
        LAYERWISE.contains(&self)
    }

    /// What adapts weights.
    pub(crate) fn adapts_weights(self) -> bool {
        WEIGHTS.contains(&self)
    }
}

/// The methods that adapt weights.
pub(super) const WEIGHTS: &[Method] = &[
    Method::Lora,
    Method::Adalora,
    Method::Ia3,
    Method::Loha,
    Method::Lokr,
    Method::Vera,
    Method::Randlora,
    Method::Vblora,
    Method::Oft,
    Method::Boft,
    Method::Hra,
    Method::Road,
    Method::Miss,
    Method::Hira,
    Method::Delora,
    Method::Gralora,
    Method::Shira,
    Method::Fourierft,
    Method::C3a,
    Method::Waveft,
];
/// Methods with an alpha.
pub(super) const SCALED: &[Method] = &[
    Method::Lora,
    Method::Adalora,
    Method::Loha,
    Method::Lokr,
    Method::Randlora,
    Method::Gralora,
];
pub(super) const RANKED: &[Method] = &[
    Method::Lora,
    Method::Adalora,
    Method::Loha,
    Method::Lokr,
    Method::Randlora,
    Method::Vblora,
    Method::Vera,
    Method::Hra,
    Method::Miss,
    Method::Hira,
    Method::Delora,
    Method::Gralora,
    Method::Shira,
];
pub(super) const DROPPING: &[Method] = &[
    Method::Lora,
    Method::Adalora,
    Method::Vera,
    Method::Randlora,
    Method::Vblora,
    Method::Miss,
    Method::Hira,
    Method::Delora,
    Method::Gralora,
];
pub(super) const ADALORA: &[Method] = &[Method::Adalora];
pub(super) const LORA: &[Method] = &[Method::Lora];
pub(super) const VIRTUAL: &[Method] =
    &[Method::PromptTuning, Method::PTuning, Method::PrefixTuning];
pub(super) const TOKENS: &[Method] = &[Method::Lora, Method::TrainableTokens];
pub(super) const ADAPTERS: &[Method] = &{
    let mut all = [Method::TrainableTokens; WEIGHTS.len() + 1 + VIRTUAL.len()];
    let mut at = 0;
    while at < WEIGHTS.len() {
        all[at] = WEIGHTS[at];
        at += 1;
    }
    while at < WEIGHTS.len() + VIRTUAL.len() {
        all[at + 1] = VIRTUAL[at - WEIGHTS.len()];
        at += 1;
    }
    all
};
pub(super) const LAYERED: &[Method] = &[Method::TopLayers, Method::FreezeBottom, Method::Lisa];
pub(super) const SCHEDULED: &[Method] = &[Method::Gradual, Method::Lisa, Method::Badam];
pub(super) const LAYERWISE: &[Method] = &[
    Method::Full,
    Method::Head,
    Method::TopLayers,
    Method::FreezeBottom,
    Method::Bitfit,
    Method::Norms,
    Method::Matching,
    Method::Gradual,
    Method::Lisa,
    Method::Badam,
];
