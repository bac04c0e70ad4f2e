//! BERT's heads: a linear layer on the pooled state or on each position's.

use burn::module::Module;
use burn::nn::{Dropout, Linear};
use burn::tensor::{Device, Int, Tensor};
use peft_core::linear;
use peft_model::{SequenceClassifier, Stages, TokenClassifier, Transformer};

use super::{BertConfig, BertModel};
use crate::fresh;

/// A BERT that classifies texts: `classifier(tanh(dense(h)))` of the first position's state.
#[derive(Module, Debug)]
pub struct BertForSequenceClassification {
    /// The encoder, with its pooling layer.
    pub bert: BertModel,
    /// `[d_model, n_labels]`.
    pub classifier: Linear,
    /// Before `classifier`.
    pub dropout: Dropout,
    n_labels: usize,
}

/// A BERT that classifies tokens.
#[derive(Module, Debug)]
pub struct BertForTokenClassification {
    /// The encoder.
    pub bert: BertModel,
    /// `[d_model, n_labels]`.
    pub classifier: Linear,
    /// Before `classifier`.
    pub dropout: Dropout,
    n_labels: usize,
}

impl Transformer for BertForSequenceClassification {
    fn stages(&self) -> &dyn Stages {
        &self.bert
    }
}

impl Transformer for BertForTokenClassification {
    fn stages(&self) -> &dyn Stages {
        &self.bert
    }
}

impl BertForSequenceClassification {
    /// A model with fresh weights.
    pub fn new(config: &BertConfig, n_labels: usize, device: &Device) -> Self {
        Self {
            bert: config.init_with(true, device),
            classifier: config.linear(config.d_model, n_labels, device),
            dropout: fresh::dropout(config.classifier_dropout),
            n_labels,
        }
    }
}

impl SequenceClassifier for BertForSequenceClassification {
    /// # Panics
    ///
    /// If the pooling layer was taken away.
    fn class_logits(&self, hidden: Tensor<3>, _segments: Option<Tensor<2, Int>>) -> Tensor<2> {
        let pooler = self.bert.pooler.as_ref().expect("the head's pooling layer");
        linear(
            &self.classifier,
            self.dropout.forward(pooler.forward(hidden)),
        )
    }

    fn reads_first_position(&self) -> bool {
        true
    }

    fn n_labels(&self) -> usize {
        self.n_labels
    }
}

impl BertForTokenClassification {
    /// A model with fresh weights.
    pub fn new(config: &BertConfig, n_labels: usize, device: &Device) -> Self {
        Self {
            bert: config.init_with(false, device),
            classifier: config.linear(config.d_model, n_labels, device),
            dropout: fresh::dropout(config.classifier_dropout),
            n_labels,
        }
    }
}

impl TokenClassifier for BertForTokenClassification {
    fn token_logits(&self, hidden: Tensor<3>) -> Tensor<3> {
        linear(&self.classifier, self.dropout.forward(hidden))
    }

    fn n_labels(&self) -> usize {
        self.n_labels
    }
}
