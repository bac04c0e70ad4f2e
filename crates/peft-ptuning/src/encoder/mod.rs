//! [`PromptEncoder`]: what makes the vectors of P-Tuning (Liu et al. 2021), of PEFT's exact shapes.

mod config;
mod lstm;
mod mlp;

use burn::module::Module;
use burn::tensor::Tensor;

pub use config::PromptEncoderConfig;
pub use lstm::LstmEncoder;
pub use mlp::MlpEncoder;

/// An encoder of prompts.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)]
pub enum PromptEncoder {
    /// Three linear layers, each vector by itself.
    Mlp(MlpEncoder),
    /// A bidirectional LSTM over the vectors, then two linear layers.
    Lstm(LstmEncoder),
}

impl PromptEncoder {
    /// What it was made from, and its hidden width.
    pub fn config(&self) -> (PromptEncoderConfig, usize) {
        match self {
            Self::Mlp(encoder) => {
                let [_, hidden] = encoder.first.weight.lazy_shape().dims();
                (PromptEncoderConfig::Mlp, hidden)
            }
            Self::Lstm(encoder) => {
                let [both, _] = encoder.first.weight.lazy_shape().dims();
                let config = PromptEncoderConfig::Lstm {
                    n_layers: encoder.layers.len(),
                    dropout: encoder.dropout.prob,
                };
                (config, both / 2)
            }
        }
    }

    /// The vectors that a model reads.
    ///
    /// # Shapes
    ///
    /// `inputs` and the result are `[n_virtual_tokens, d_model]`.
    pub fn forward(&self, inputs: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Mlp(encoder) => encoder.forward(inputs),
            Self::Lstm(encoder) => encoder.forward(inputs),
        }
    }
}
