//! Encoders of any family: bare, or with a head that classifies texts or tokens.

use burn::tensor::{Device, Int, Tensor};
use peft_model::{SequenceClassifier, Stages, TokenClassifier, Transformer};

use super::{
    BertConfig, BertForSequenceClassification, BertForTokenClassification, BertModel,
    DistilBertConfig, DistilBertForSequenceClassification, DistilBertForTokenClassification,
    DistilBertModel, ModernBertConfig, ModernBertForSequenceClassification,
    ModernBertForTokenClassification, ModernBertModel, RobertaForSequenceClassification,
    RobertaForTokenClassification,
};
use crate::ModelConfigError;
use crate::transparent::transparent_module;

/// The sizes of an encoder of any family.
#[derive(Debug, Clone, PartialEq)]
pub enum EncoderConfig {
    /// BERT.
    Bert(BertConfig),
    /// RoBERTa and XLM-RoBERTa.
    Roberta(BertConfig),
    /// DistilBERT.
    DistilBert(DistilBertConfig),
    /// ModernBERT.
    ModernBert(ModernBertConfig),
}

/// An encoder without a head; its parameters have the paths that they have in the model in it.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)]
pub enum TextEncoder {
    /// BERT, RoBERTa and XLM-RoBERTa.
    Bert(BertModel),
    /// DistilBERT.
    DistilBert(DistilBertModel),
    /// ModernBERT.
    ModernBert(ModernBertModel),
}

/// An encoder that classifies texts.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)]
pub enum TextClassifier {
    /// BERT.
    Bert(BertForSequenceClassification),
    /// RoBERTa and XLM-RoBERTa.
    Roberta(RobertaForSequenceClassification),
    /// DistilBERT.
    DistilBert(DistilBertForSequenceClassification),
    /// ModernBERT.
    ModernBert(ModernBertForSequenceClassification),
}

/// An encoder that classifies tokens.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)]
pub enum TokenTagger {
    /// BERT.
    Bert(BertForTokenClassification),
    /// RoBERTa and XLM-RoBERTa.
    Roberta(RobertaForTokenClassification),
    /// DistilBERT.
    DistilBert(DistilBertForTokenClassification),
    /// ModernBERT.
    ModernBert(ModernBertForTokenClassification),
}

transparent_module!(TextEncoder {
    Bert,
    DistilBert,
    ModernBert
});
transparent_module!(TextClassifier {
    Bert,
    Roberta,
    DistilBert,
    ModernBert
});
transparent_module!(TokenTagger {
    Bert,
    Roberta,
    DistilBert,
    ModernBert
});

impl Transformer for TextEncoder {
    fn stages(&self) -> &dyn Stages {
        match self {
            Self::Bert(model) => model,
            Self::DistilBert(model) => model,
            Self::ModernBert(model) => model,
        }
    }
}

impl Transformer for TextClassifier {
    fn stages(&self) -> &dyn Stages {
        match self {
            Self::Bert(model) => model.stages(),
            Self::Roberta(model) => model.stages(),
            Self::DistilBert(model) => model.stages(),
            Self::ModernBert(model) => model.stages(),
        }
    }
}

impl Transformer for TokenTagger {
    fn stages(&self) -> &dyn Stages {
        match self {
            Self::Bert(model) => model.stages(),
            Self::Roberta(model) => model.stages(),
            Self::DistilBert(model) => model.stages(),
            Self::ModernBert(model) => model.stages(),
        }
    }
}

impl EncoderConfig {
    /// Whether a model can be made of this.
    ///
    /// # Errors
    ///
    /// The first setting that cannot be.
    pub fn validate(&self) -> Result<(), ModelConfigError> {
        match self {
            Self::Bert(config) | Self::Roberta(config) => config.validate(),
            Self::DistilBert(config) => config.validate(),
            Self::ModernBert(config) => config.validate(),
        }
    }

    /// Whether a model of this drops anything in training.
    pub fn has_dropout(&self) -> bool {
        let rates = match self {
            Self::Bert(c) | Self::Roberta(c) => [
                c.hidden_dropout,
                c.attention_dropout,
                c.classifier_dropout,
                0.0,
            ],
            Self::DistilBert(c) => [
                c.hidden_dropout,
                c.attention_dropout,
                c.classifier_dropout,
                0.0,
            ],
            Self::ModernBert(c) => [
                c.embedding_dropout,
                c.attention_dropout,
                c.mlp_dropout,
                c.classifier_dropout,
            ],
        };
        rates.iter().any(|rate| *rate > 0.0)
    }

    /// An encoder without a head, with fresh weights; `pooler` says whether a BERT has its pooling
    /// layer. Parameters are initialised when first read.
    pub fn encoder(&self, pooler: bool, device: &Device) -> TextEncoder {
        match self {
            Self::Bert(config) | Self::Roberta(config) => {
                let config = BertConfig {
                    pooler,
                    ..config.clone()
                };
                TextEncoder::Bert(config.init(device))
            }
            Self::DistilBert(config) => TextEncoder::DistilBert(config.init(device)),
            Self::ModernBert(config) => TextEncoder::ModernBert(config.init(device)),
        }
    }

    /// An encoder that tells `n_labels` classes of texts, with fresh weights. Parameters are
    /// initialised when first read.
    pub fn classifier(&self, n_labels: usize, device: &Device) -> TextClassifier {
        match self {
            Self::Bert(config) => {
                TextClassifier::Bert(BertForSequenceClassification::new(config, n_labels, device))
            }
            Self::Roberta(config) => TextClassifier::Roberta(
                RobertaForSequenceClassification::new(config, n_labels, device),
            ),
            Self::DistilBert(config) => TextClassifier::DistilBert(
                DistilBertForSequenceClassification::new(config, n_labels, device),
            ),
            Self::ModernBert(config) => TextClassifier::ModernBert(
                ModernBertForSequenceClassification::new(config, n_labels, device),
            ),
        }
    }

    /// An encoder that tells `n_labels` classes of tokens, with fresh weights. Parameters are
    /// initialised when first read.
    pub fn tagger(&self, n_labels: usize, device: &Device) -> TokenTagger {
        match self {
            Self::Bert(config) => {
                TokenTagger::Bert(BertForTokenClassification::new(config, n_labels, device))
            }
            Self::Roberta(config) => {
                TokenTagger::Roberta(RobertaForTokenClassification::new(config, n_labels, device))
            }
            Self::DistilBert(config) => TokenTagger::DistilBert(
                DistilBertForTokenClassification::new(config, n_labels, device),
            ),
            Self::ModernBert(config) => TokenTagger::ModernBert(
                ModernBertForTokenClassification::new(config, n_labels, device),
            ),
        }
    }

    /// Tokens in the vocabulary.
    pub fn vocab_size(&self) -> usize {
        match self {
            Self::Bert(config) | Self::Roberta(config) => config.vocab_size,
            Self::DistilBert(config) => config.vocab_size,
            Self::ModernBert(config) => config.vocab_size,
        }
    }

    /// The longest sequence that the model is made for.
    pub fn max_positions(&self) -> usize {
        match self {
            Self::Bert(config) | Self::Roberta(config) => config.max_positions,
            Self::DistilBert(config) => config.max_positions,
            Self::ModernBert(config) => config.max_positions,
        }
    }

    /// How many blocks there are.
    pub fn n_layers(&self) -> usize {
        match self {
            Self::Bert(config) | Self::Roberta(config) => config.n_layers,
            Self::DistilBert(config) => config.n_layers,
            Self::ModernBert(config) => config.windowed.len(),
        }
    }
}

impl SequenceClassifier for TextClassifier {
    fn class_logits(&self, hidden: Tensor<3>, segments: Option<Tensor<2, Int>>) -> Tensor<2> {
        match self {
            Self::Bert(model) => model.class_logits(hidden, segments),
            Self::Roberta(model) => model.class_logits(hidden, segments),
            Self::DistilBert(model) => model.class_logits(hidden, segments),
            Self::ModernBert(model) => model.class_logits(hidden, segments),
        }
    }

    fn reads_first_position(&self) -> bool {
        match self {
            Self::Bert(model) => model.reads_first_position(),
            Self::Roberta(model) => model.reads_first_position(),
            Self::DistilBert(model) => model.reads_first_position(),
            Self::ModernBert(model) => model.reads_first_position(),
        }
    }

    fn n_labels(&self) -> usize {
        match self {
            Self::Bert(model) => model.n_labels(),
            Self::Roberta(model) => model.n_labels(),
            Self::DistilBert(model) => model.n_labels(),
            Self::ModernBert(model) => model.n_labels(),
        }
    }
}

impl TokenClassifier for TokenTagger {
    fn token_logits(&self, hidden: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Bert(model) => model.token_logits(hidden),
            Self::Roberta(model) => model.token_logits(hidden),
            Self::DistilBert(model) => model.token_logits(hidden),
            Self::ModernBert(model) => model.token_logits(hidden),
        }
    }

    fn n_labels(&self) -> usize {
        match self {
            Self::Bert(model) => model.n_labels(),
            Self::Roberta(model) => model.n_labels(),
            Self::DistilBert(model) => model.n_labels(),
            Self::ModernBert(model) => model.n_labels(),
        }
    }
}
