//! GPT-2: learned positions, fused projections, layer norms. *Language Models are Unsupervised
//! Multitask Learners*, Radford et al. 2019.

mod block;
mod config;
mod model;

pub use block::{Gpt2Attention, Gpt2Block, Gpt2Mlp};
pub use config::Gpt2Config;
pub use model::{Gpt2LmHeadModel, Gpt2Model};
