//! [`DecoderMlp`]: the gated feed-forward layer, `down(f(gate(x)) ∘ up(x))`. *GLU Variants Improve
//! Transformer*, Shazeer 2020, [arXiv:2002.05202](https://arxiv.org/abs/2002.05202).

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use peft_core::linear;

use crate::Activation;
use crate::transparent::transparent_module;

/// The gated feed-forward layer.
#[derive(Debug, Clone)]
pub enum DecoderMlp {
    /// Gate and up projection by a matrix each.
    Split(SplitMlp),
    /// Both by one matrix.
    Fused(FusedMlp),
}

transparent_module!(DecoderMlp { Split, Fused });

/// A feed-forward layer with a projection each for gate and input.
#[derive(Module, Debug)]
pub struct SplitMlp {
    /// `[d_model, d_ff]`.
    pub gate_proj: Linear,
    /// `[d_model, d_ff]`.
    pub up_proj: Linear,
    /// `[d_ff, d_model]`.
    pub down_proj: Linear,
    #[module(skip)]
    pub(super) activation: Activation,
}

/// A feed-forward layer with one projection for gate and input.
#[derive(Module, Debug)]
pub struct FusedMlp {
    /// Gate and input side by side, `[d_model, 2 d_ff]`.
    pub gate_up_proj: Linear,
    /// `[d_ff, d_model]`.
    pub down_proj: Linear,
    #[module(skip)]
    pub(super) activation: Activation,
}

impl DecoderMlp {
    /// `x` and the result are `[batch, positions, d_model]`.
    pub(super) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Split(mlp) => {
                let gate = linear(&mlp.gate_proj, x.clone());
                let up = linear(&mlp.up_proj, x);
                linear(&mlp.down_proj, mlp.activation.gate(gate, up))
            }
            Self::Fused(mlp) => {
                let both = linear(&mlp.gate_up_proj, x);
                let d_ff = both.dims()[2] / 2;
                let gate = both.clone().narrow(2, 0, d_ff);
                let up = both.narrow(2, d_ff, d_ff);
                linear(&mlp.down_proj, mlp.activation.gate(gate, up))
            }
        }
    }
}
