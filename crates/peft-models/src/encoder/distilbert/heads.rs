//! DistilBERT's heads.

use burn::module::Module;
use burn::nn::{Dropout, Linear};
use burn::tensor::{Device, Int, Tensor, activation};
use peft_core::linear;
use peft_model::{SequenceClassifier, Stages, TokenClassifier, Transformer};

use super::{DistilBertConfig, DistilBertModel};
use crate::encoder::pooling;
use crate::fresh;

/// A DistilBERT that classifies texts: `classifier(relu(pre_classifier(h)))` of the first
/// position's state.
#[derive(Module, Debug)]
pub struct DistilBertForSequenceClassification {
    /// The encoder.
    pub distilbert: DistilBertModel,
    /// `[d_model, d_model]`.
    pub pre_classifier: Linear,
    /// `[d_model, n_labels]`.
    pub classifier: Linear,
    /// Before `classifier`.
    pub dropout: Dropout,
    n_labels: usize,
}

/// A DistilBERT that classifies tokens.
#[derive(Module, Debug)]
pub struct DistilBertForTokenClassification {
    /// The encoder.
    pub distilbert: DistilBertModel,
    /// `[d_model, n_labels]`.
    pub classifier: Linear,
    /// Before `classifier`.
    pub dropout: Dropout,
    n_labels: usize,
}

impl Transformer for DistilBertForSequenceClassification {
    fn stages(&self) -> &dyn Stages {
        &self.distilbert
    }
}

impl Transformer for DistilBertForTokenClassification {
    fn stages(&self) -> &dyn Stages {
        &self.distilbert
    }
}

impl DistilBertForSequenceClassification {
    /// A model with fresh weights.
    pub fn new(config: &DistilBertConfig, n_labels: usize, device: &Device) -> Self {
        Self {
            distilbert: config.init(device),
            pre_classifier: config.linear(config.d_model, config.d_model, device),
            classifier: config.linear(config.d_model, n_labels, device),
            dropout: fresh::dropout(config.classifier_dropout),
            n_labels,
        }
    }
}

impl SequenceClassifier for DistilBertForSequenceClassification {
    fn class_logits(&self, hidden: Tensor<3>, _segments: Option<Tensor<2, Int>>) -> Tensor<2> {
        let x = activation::relu(linear(&self.pre_classifier, pooling::first(hidden)));
        linear(&self.classifier, self.dropout.forward(x))
    }

    fn reads_first_position(&self) -> bool {
        true
    }

    fn n_labels(&self) -> usize {
        self.n_labels
    }
}

impl DistilBertForTokenClassification {
    /// A model with fresh weights.
    pub fn new(config: &DistilBertConfig, n_labels: usize, device: &Device) -> Self {
        Self {
            distilbert: config.init(device),
            classifier: config.linear(config.d_model, n_labels, device),
            dropout: fresh::dropout(config.hidden_dropout),
            n_labels,
        }
    }
}

impl TokenClassifier for DistilBertForTokenClassification {
    fn token_logits(&self, hidden: Tensor<3>) -> Tensor<3> {
        linear(&self.classifier, self.dropout.forward(hidden))
    }

    fn n_labels(&self) -> usize {
        self.n_labels
    }
}
