//! AdaLoRA: ranks by importance. *Adaptive Budget Allocation for Parameter-Efficient Fine-Tuning*,
//! Zhang et al. 2023, [arXiv:2303.10512](https://arxiv.org/abs/2303.10512).

mod adapter;
mod allocator;
mod config;
mod importance;

pub use adapter::AdaLora;
pub use allocator::RankAllocator;
pub use config::AdaLoraConfig;
pub use importance::Importance;
