//! Llama. *LLaMA: Open and Efficient Foundation Language Models*, Touvron et al. 2023,
//! [arXiv:2302.13971](https://arxiv.org/abs/2302.13971).

mod attention;
mod config;
mod layer;
mod model;

pub use attention::LlamaAttention;
pub use config::{LlamaConfig, LlamaConfigError};
pub use layer::{LlamaDecoderLayer, LlamaMlp};
pub use model::{LlamaForCausalLm, LlamaModel};
