//! [`PromptEncoderConfig`]: which encoder makes the vectors.

use burn::tensor::Device;
use peft_core::PeftError;
use serde::{Deserialize, Serialize};

use super::{LstmEncoder, MlpEncoder, PromptEncoder};

/// Which encoder makes the vectors.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptEncoderConfig {
    /// [`MlpEncoder`]: three linear layers.
    Mlp,
    /// [`LstmEncoder`]: a bidirectional LSTM, then two linear layers.
    Lstm {
        /// Layers of the LSTM; PEFT's default is 2.
        n_layers: usize,
        /// What is dropped between them in training; PEFT's default is 0.
        dropout: f64,
    },
}

impl PromptEncoderConfig {
    /// An LSTM of two layers without dropout.
    pub const LSTM: Self = Self::Lstm {
        n_layers: 2,
        dropout: 0.0,
    };

    /// Whether such an encoder can be.
    ///
    /// # Errors
    ///
    /// [`PeftError::InvalidSetting`].
    pub fn validate(&self, hidden: usize) -> Result<(), PeftError> {
        let wrong = |field: &str, value: String, expected| {
            let field = field.into();
            Err(PeftError::InvalidSetting {
                field,
                value,
                expected,
            })
        };
        if hidden == 0 {
            return wrong("the encoder's hidden width", "0".into(), "at least 1");
        }
        match self {
            Self::Lstm { n_layers: 0, .. } => {
                wrong("the encoder's number of layers", "0".into(), "at least 1")
            }
            Self::Lstm { dropout, .. } if !(0.0..1.0).contains(dropout) => {
                let value = dropout.to_string();
                wrong("the encoder's dropout", value, "at least 0 and below 1")
            }
            Self::Mlp | Self::Lstm { .. } => Ok(()),
        }
    }

    /// A fresh encoder.
    pub fn init(&self, d_model: usize, hidden: usize, device: &Device) -> PromptEncoder {
        match *self {
            Self::Mlp => PromptEncoder::Mlp(MlpEncoder::new(d_model, hidden, device)),
            Self::Lstm { n_layers, dropout } => {
                let encoder = LstmEncoder::new(d_model, hidden, n_layers, dropout, device);
                PromptEncoder::Lstm(encoder)
            }
        }
    }
}
