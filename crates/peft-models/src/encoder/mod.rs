//! Encoders: models that read a whole text in both directions, and the heads that classify it.
//!
//! A cache that is not empty holds a prefix here: keys and values before the text, which every
//! position sees whatever its window, and from whose end positions count. Segment 0 is the text and
//! segment 1 the padding on its right.

mod any;
mod bert;
mod check;
mod distilbert;
mod modernbert;
mod named;
mod pooling;
mod post_norm;
mod roberta;

pub use any::{EncoderConfig, TextClassifier, TextEncoder, TokenTagger};
pub use bert::{
    BertAttention, BertConfig, BertEmbeddings, BertEncoder, BertForSequenceClassification,
    BertForTokenClassification, BertIntermediate, BertLayer, BertModel, BertOutput, BertPooler,
    BertSelfAttention,
};
pub use distilbert::{
    DistilBertAttention, DistilBertConfig, DistilBertFeedForward,
    DistilBertForSequenceClassification, DistilBertForTokenClassification, DistilBertLayer,
    DistilBertModel, DistilBertTransformer,
};
pub use modernbert::{
    ModernBertAttention, ModernBertConfig, ModernBertEmbeddings,
    ModernBertForSequenceClassification, ModernBertForTokenClassification, ModernBertLayer,
    ModernBertMlp, ModernBertModel, ModernBertPredictionHead,
};
pub use pooling::{Pooling, mean_pooled};
pub use roberta::{
    RobertaClassificationHead, RobertaForSequenceClassification, RobertaForTokenClassification,
};
