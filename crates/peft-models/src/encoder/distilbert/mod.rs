//! DistilBERT: BERT's block under other names, with no token types. *DistilBERT*, Sanh et al. 2019,
//! [arXiv:1910.01108](https://arxiv.org/abs/1910.01108).

mod config;
mod heads;
mod layer;
mod model;

pub use config::DistilBertConfig;
pub use heads::{DistilBertForSequenceClassification, DistilBertForTokenClassification};
pub use layer::{DistilBertAttention, DistilBertFeedForward, DistilBertLayer};
pub use model::{DistilBertModel, DistilBertTransformer};
