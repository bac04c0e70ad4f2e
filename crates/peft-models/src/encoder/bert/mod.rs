//! BERT, and RoBERTa, which differs in where positions count from and in its heads. *BERT*, Devlin
//! et al. 2019, [arXiv:1810.04805](https://arxiv.org/abs/1810.04805); *RoBERTa*, Liu et al. 2019,
//! [arXiv:1907.11692](https://arxiv.org/abs/1907.11692).

mod config;
mod embeddings;
mod heads;
mod layer;
mod model;

pub use config::BertConfig;
pub use embeddings::BertEmbeddings;
pub use heads::{BertForSequenceClassification, BertForTokenClassification};
pub use layer::{BertAttention, BertIntermediate, BertLayer, BertOutput, BertSelfAttention};
pub use model::{BertEncoder, BertModel, BertPooler};
