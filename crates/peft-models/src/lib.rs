//! Transformer families as plain Burn modules whose field names are those of Hugging Face checkpoints.
//!
//! A parameter's path here is its key there: `model.layers.0.self_attn.q_proj.weight`. Linear layers and embeddings run through
//! [`peft_core::linear`] and [`peft_core::embedding`], so adapters act in factored form.
//!
//! # What this crate does not do
//!
//! It reads no files: `peft-store` does.
#![deny(missing_docs)]

mod activation;
mod attention;
mod cache;
mod causal_lm;
mod closed_form;
mod config_error;
mod encoder;
mod layer_norm;
mod llama;
mod mask;
mod norm;
mod rope;
mod transformer;

pub use activation::Activation;
pub use cache::KvCache;
pub use causal_lm::CausalLm;
pub use config_error::ModelConfigError;
pub use encoder::{
    BertAttention, BertConfig, BertEmbeddings, BertEncoder, BertForSequenceClassification,
    BertForTokenClassification, BertIntermediate, BertLayer, BertModel, BertOutput, BertPooler,
    BertSelfAttention, DistilBertAttention, DistilBertConfig, DistilBertFeedForward,
    DistilBertForSequenceClassification, DistilBertForTokenClassification, DistilBertLayer,
    DistilBertModel, DistilBertTransformer, ModernBertAttention, ModernBertConfig,
    ModernBertEmbeddings, ModernBertForSequenceClassification, ModernBertForTokenClassification,
    ModernBertLayer, ModernBertMlp, ModernBertModel, ModernBertPredictionHead, Pooling,
    RobertaClassificationHead, RobertaForSequenceClassification, RobertaForTokenClassification,
    SequenceClassifier, TokenClassifier, mean_pooled,
};
pub use layer_norm::LayerNorm;
pub use llama::{
    LlamaAttention, LlamaConfig, LlamaConfigError, LlamaDecoderLayer, LlamaForCausalLm, LlamaMlp,
    LlamaModel,
};
pub use mask::EVERY_SEQUENCE;
pub use norm::RmsNorm;
pub use rope::{RopeConfig, RopeScaling};
pub use transformer::Transformer;
