//! ModernBERT's heads.

use burn::module::Module;
use burn::nn::{Dropout, Linear};
use burn::tensor::{Device, Int, Tensor};
use peft_core::linear;
use peft_model::{SequenceClassifier, Stages, TokenClassifier, Transformer};

use super::{ModernBertConfig, ModernBertModel};
use crate::encoder::Pooling;
use crate::fresh;
use crate::{Activation, LayerNorm};

/// `norm(act(dense(h)))`.
#[derive(Module, Debug)]
pub struct ModernBertPredictionHead {
    /// `[d_model, d_model]`.
    pub dense: Linear,
    /// The norm.
    pub norm: LayerNorm,
    #[module(skip)]
    activation: Activation,
}

impl ModernBertPredictionHead {
    fn new(config: &ModernBertConfig, device: &Device) -> Self {
        let d = config.d_model;
        let (bias, std) = (config.classifier_bias, config.output_std());
        Self {
            dense: fresh::linear([d, d], bias, std, device),
            norm: config.norm(device),
            activation: config.classifier_activation,
        }
    }

    /// `x` and the result are `[.., d_model]`.
    fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.norm
            .forward(self.activation.apply(linear(&self.dense, x)))
    }
}

/// A ModernBERT that classifies texts: `classifier(head(h))` of the pooled state.
#[derive(Module, Debug)]
pub struct ModernBertForSequenceClassification {
    /// The encoder.
    pub model: ModernBertModel,
    /// Before `classifier`.
    pub head: ModernBertPredictionHead,
    /// `[d_model, n_labels]`.
    pub classifier: Linear,
    /// Between the two.
    pub drop: Dropout,
    #[module(skip)]
    pooling: Pooling,
    n_labels: usize,
}

/// A ModernBERT that classifies tokens: `classifier(head(h))` of each state.
#[derive(Module, Debug)]
pub struct ModernBertForTokenClassification {
    /// The encoder.
    pub model: ModernBertModel,
    /// Before `classifier`.
    pub head: ModernBertPredictionHead,
    /// `[d_model, n_labels]`.
    pub classifier: Linear,
    /// Between the two.
    pub drop: Dropout,
    n_labels: usize,
}

impl Transformer for ModernBertForSequenceClassification {
    fn stages(&self) -> &dyn Stages {
        &self.model
    }
}

impl Transformer for ModernBertForTokenClassification {
    fn stages(&self) -> &dyn Stages {
        &self.model
    }
}

/// A fresh classifier, `N(0, 1 / d_model)`.
fn classifier(config: &ModernBertConfig, n_labels: usize, device: &Device) -> Linear {
    let std = (config.d_model as f64).sqrt().recip();
    fresh::linear([config.d_model, n_labels], true, std, device)
}

impl ModernBertForSequenceClassification {
    /// A model with fresh weights.
    pub fn new(config: &ModernBertConfig, n_labels: usize, device: &Device) -> Self {
        Self {
            model: config.init(device),
            head: ModernBertPredictionHead::new(config, device),
            classifier: classifier(config, n_labels, device),
            drop: fresh::dropout(config.classifier_dropout),
            pooling: config.classifier_pooling,
            n_labels,
        }
    }
}

impl SequenceClassifier for ModernBertForSequenceClassification {
    fn class_logits(&self, hidden: Tensor<3>, segments: Option<Tensor<2, Int>>) -> Tensor<2> {
        let pooled = self.head.forward(self.pooling.apply(hidden, segments));
        linear(&self.classifier, self.drop.forward(pooled))
    }

    fn reads_first_position(&self) -> bool {
        self.pooling == Pooling::First
    }

    fn n_labels(&self) -> usize {
        self.n_labels
    }
}

impl ModernBertForTokenClassification {
    /// A model with fresh weights.
    pub fn new(config: &ModernBertConfig, n_labels: usize, device: &Device) -> Self {
        Self {
            model: config.init(device),
            head: ModernBertPredictionHead::new(config, device),
            classifier: classifier(config, n_labels, device),
            drop: fresh::dropout(config.classifier_dropout),
            n_labels,
        }
    }
}

impl TokenClassifier for ModernBertForTokenClassification {
    fn token_logits(&self, hidden: Tensor<3>) -> Tensor<3> {
        linear(
            &self.classifier,
            self.drop.forward(self.head.forward(hidden)),
        )
    }

    fn n_labels(&self) -> usize {
        self.n_labels
    }
}
