//! Decoders with rotary positions, gated feed-forward layers and root-mean-square norms: Llama and
//! those after it, told apart by their config.
//!
//! *LLaMA: Open and Efficient Foundation Language Models*, Touvron et al. 2023,
//! [arXiv:2302.13971](https://arxiv.org/abs/2302.13971); Mistral, Jiang et al. 2023,
//! [arXiv:2310.06825](https://arxiv.org/abs/2310.06825); Qwen 2 and 3,
//! [arXiv:2407.10671](https://arxiv.org/abs/2407.10671) and
//! [arXiv:2505.09388](https://arxiv.org/abs/2505.09388); Phi-3,
//! [arXiv:2404.14219](https://arxiv.org/abs/2404.14219); Gemma 2 and 3,
//! [arXiv:2408.00118](https://arxiv.org/abs/2408.00118) and
//! [arXiv:2503.19786](https://arxiv.org/abs/2503.19786).

mod attention;
mod config;
mod init;
mod layer;
mod mlp;
mod model;

pub use attention::{DecoderAttention, FusedAttention, SplitAttention};
pub(crate) use config::check_rope;
pub use config::{DecoderConfig, ProjectionBias};
pub(crate) use init::untied;
pub use layer::DecoderLayer;
pub use mlp::{DecoderMlp, FusedMlp, SplitMlp};
pub(crate) use model::tied_logits;
pub use model::{DecoderForCausalLm, DecoderModel};
