//! ModernBERT: rotary positions, gated feed-forward layers, norms before them, and windows in most
//! blocks. *Smarter, Better, Faster, Longer*, Warner et al. 2024,
//! [arXiv:2412.13663](https://arxiv.org/abs/2412.13663).

mod config;
mod heads;
mod layer;
mod model;

pub use config::ModernBertConfig;
pub use heads::{
    ModernBertForSequenceClassification, ModernBertForTokenClassification, ModernBertPredictionHead,
};
pub use layer::{ModernBertAttention, ModernBertLayer, ModernBertMlp};
pub use model::{ModernBertEmbeddings, ModernBertModel};
