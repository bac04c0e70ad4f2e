#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod config_error;
mod decoder;
mod encoder;
mod fresh;
mod gpt2;
mod language_model;
mod layer_norm;
mod norm;
mod rows;
mod transparent;
mod vocabulary;

pub use config_error::ModelConfigError;
pub use decoder::{
    DecoderAttention, DecoderConfig, DecoderForCausalLm, DecoderLayer, DecoderMlp, DecoderModel,
    FusedAttention, FusedMlp, ProjectionBias, SplitAttention, SplitMlp,
};
pub use encoder::{
    BertAttention, BertConfig, BertEmbeddings, BertEncoder, BertForSequenceClassification,
    BertForTokenClassification, BertIntermediate, BertLayer, BertModel, BertOutput, BertPooler,
    BertSelfAttention, DistilBertAttention, DistilBertConfig, DistilBertFeedForward,
    DistilBertForSequenceClassification, DistilBertForTokenClassification, DistilBertLayer,
    DistilBertModel, DistilBertTransformer, EncoderConfig, ModernBertAttention, ModernBertConfig,
    ModernBertEmbeddings, ModernBertForSequenceClassification, ModernBertForTokenClassification,
    ModernBertLayer, ModernBertMlp, ModernBertModel, ModernBertPredictionHead, Pooling,
    RobertaClassificationHead, RobertaForSequenceClassification, RobertaForTokenClassification,
    TextClassifier, TextEncoder, TokenTagger, mean_pooled,
};
pub use gpt2::{Gpt2Attention, Gpt2Block, Gpt2Config, Gpt2LmHeadModel, Gpt2Mlp, Gpt2Model};
pub use language_model::{LanguageModel, LanguageModelConfig};
pub use layer_norm::LayerNorm;
pub use norm::RmsNorm;
pub use peft_kernels::Activation;
pub use peft_model::{
    CausalLm, EVERY_SEQUENCE, KvCache, RopeConfig, RopeScaling, SequenceClassifier,
    TokenClassifier, Transformer,
};
