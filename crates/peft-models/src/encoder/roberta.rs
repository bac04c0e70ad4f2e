//! RoBERTa's heads, on the encoder that it shares with BERT.

use burn::module::Module;
use burn::nn::{Dropout, Linear};
use burn::tensor::{Device, Int, Tensor};
use peft_core::linear;
use peft_model::{SequenceClassifier, Stages, TokenClassifier, Transformer};

use super::{BertConfig, BertModel, pooling};
use crate::fresh;

/// `out_proj(tanh(dense(h)))` of the first position's state.
#[derive(Module, Debug)]
pub struct RobertaClassificationHead {
    /// `[d_model, d_model]`.
    pub dense: Linear,
    /// `[d_model, n_labels]`.
    pub out_proj: Linear,
    /// Before both.
    pub dropout: Dropout,
}

/// A RoBERTa that classifies texts.
#[derive(Module, Debug)]
pub struct RobertaForSequenceClassification {
    /// The encoder.
    pub roberta: BertModel,
    /// The head.
    pub classifier: RobertaClassificationHead,
    n_labels: usize,
}

/// A RoBERTa that classifies tokens.
#[derive(Module, Debug)]
pub struct RobertaForTokenClassification {
    /// The encoder.
    pub roberta: BertModel,
    /// `[d_model, n_labels]`.
    pub classifier: Linear,
    /// Before `classifier`.
    pub dropout: Dropout,
    n_labels: usize,
}

impl Transformer for RobertaForSequenceClassification {
    fn stages(&self) -> &dyn Stages {
        &self.roberta
    }
}

impl Transformer for RobertaForTokenClassification {
    fn stages(&self) -> &dyn Stages {
        &self.roberta
    }
}

impl RobertaForSequenceClassification {
    /// A model with fresh weights.
    pub fn new(config: &BertConfig, n_labels: usize, device: &Device) -> Self {
        Self {
            roberta: config.init_with(false, device),
            classifier: RobertaClassificationHead {
                dense: config.linear(config.d_model, config.d_model, device),
                out_proj: config.linear(config.d_model, n_labels, device),
                dropout: fresh::dropout(config.classifier_dropout),
            },
            n_labels,
        }
    }
}

impl SequenceClassifier for RobertaForSequenceClassification {
    fn class_logits(&self, hidden: Tensor<3>, _segments: Option<Tensor<2, Int>>) -> Tensor<2> {
        let head = &self.classifier;
        let x = head.dropout.forward(pooling::first(hidden));
        let x = head.dropout.forward(linear(&head.dense, x).tanh());
        linear(&head.out_proj, x)
    }

    fn reads_first_position(&self) -> bool {
        true
    }

    fn n_labels(&self) -> usize {
        self.n_labels
    }
}

impl RobertaForTokenClassification {
    /// A model with fresh weights.
    pub fn new(config: &BertConfig, n_labels: usize, device: &Device) -> Self {
        Self {
            roberta: config.init_with(false, device),
            classifier: config.linear(config.d_model, n_labels, device),
            dropout: fresh::dropout(config.classifier_dropout),
            n_labels,
        }
    }
}

impl TokenClassifier for RobertaForTokenClassification {
    fn token_logits(&self, hidden: Tensor<3>) -> Tensor<3> {
        linear(&self.classifier, self.dropout.forward(hidden))
    }

    fn n_labels(&self) -> usize {
        self.n_labels
    }
}
