//! [`LstmEncoder`]: `W₂ relu(W₁ lstm(x) + b₁) + b₂`, the LSTM in both directions.

use burn::module::Module;
use burn::nn::{BiLstm, Dropout, DropoutConfig, Linear};
use burn::tensor::{Device, Tensor, activation::relu};

use crate::fresh;

/// A bidirectional LSTM over the vectors, then two linear layers with ReLU between them.
///
/// The gates are Burn's: each has a matrix and a bias for what comes in and for the state, which is
/// what PyTorch stacks.
#[derive(Module, Debug)]
pub struct LstmEncoder {
    /// The layers; each gives `2 · hidden`, both directions side by side.
    pub layers: Vec<BiLstm>,
    /// Between the layers, in training.
    pub dropout: Dropout,
    /// `[2 · hidden, 2 · hidden]`.
    pub first: Linear,
    /// `[2 · hidden, d_model]`.
    pub second: Linear,
}

impl LstmEncoder {
    /// A fresh encoder, drawn as PyTorch draws LSTMs and linear layers.
    ///
    /// # Panics
    ///
    /// If `dropout` is not a probability.
    pub fn new(
        d_model: usize,
        hidden: usize,
        n_layers: usize,
        dropout: f64,
        device: &Device,
    ) -> Self {
        let d_in = |layer| if layer == 0 { d_model } else { 2 * hidden };
        Self {
            layers: (0..n_layers)
                .map(|layer| fresh::bi_lstm(d_in(layer), hidden, device))
                .collect(),
            dropout: DropoutConfig::new(dropout).init(),
            first: fresh::linear(2 * hidden, 2 * hidden, device),
            second: fresh::linear(2 * hidden, d_model, device),
        }
    }

    /// # Shapes
    ///
    /// `inputs` and the result are `[n_virtual_tokens, d_model]`.
    pub fn forward(&self, inputs: Tensor<2>) -> Tensor<2> {
        let mut x = inputs.unsqueeze::<3>(); // one sequence: [1, n_virtual_tokens, d_model]
        for (i, layer) in self.layers.iter().enumerate() {
            if i > 0 {
                x = self.dropout.forward(x);
            }
            x = layer.forward(x, None).0;
        }
        let x = relu(self.first.forward(x));
        self.second.forward(x).squeeze_dim(0)
    }
}
