//! Models that a trunk is hard to keep of.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};
use peft_model::{
    Attention, Context, InputAdapter, Look, SequenceClassifier, Spec, Stages, Transformer,
};
use peft_models::BertForSequenceClassification;

use crate::layerwise::encoder;

/// A position before the text that all of it sees: the mean of its embeddings.
#[derive(Module, Debug)]
pub(super) struct Mean {
    pub(super) scale: Param<Tensor<1>>,
}

impl InputAdapter for Mean {
    const NAME: &'static str = "mean";

    fn n_virtual_tokens(&self) -> usize {
        1
    }

    fn begin(&self, embeds: Tensor<3>) -> Tensor<3> {
        let mean = embeds.clone().mean_dim(1) * self.scale.val().unsqueeze();
        embeds + mean
    }
}

/// An encoder whose input is shifted by a parameter that it declares last, and by the shape of the
/// batch.
#[derive(Module, Debug)]
pub(super) struct Odd {
    model: BertForSequenceClassification,
    shift: Param<Tensor<1>>,
    by_shape: f64,
}

pub(super) fn odd(by_shape: f64, device: &Device) -> Odd {
    let shift = Tensor::full([1], 0.5, &device.clone().autodiff());
    Odd {
        model: encoder(device),
        shift: Param::from_tensor(shift),
        by_shape,
    }
}

impl Stages for Odd {
    fn spec(&self) -> Spec {
        self.model.spec()
    }

    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        self.model.embed(ids) + self.shift.val().unsqueeze()
    }

    fn begin(&self, embeds: Tensor<3>, context: &Context) -> Tensor<3> {
        let [rows, positions, _] = embeds.dims();
        let by_shape = self.by_shape * (rows + positions) as f64;
        self.model.stages().begin(embeds, context) + by_shape
    }

    fn look(&self, block: usize) -> Look<'_> {
        self.model.stages().look(block)
    }

    fn block(&self, block: usize, x: Tensor<3>, attention: Attention<'_>) -> Tensor<3> {
        self.model.stages().block(block, x, attention)
    }
}

impl Transformer for Odd {
    fn stages(&self) -> &dyn Stages {
        self
    }
}

impl SequenceClassifier for Odd {
    fn class_logits(&self, hidden: Tensor<3>, segments: Option<Tensor<2, Int>>) -> Tensor<2> {
        self.model.class_logits(hidden, segments)
    }

    fn n_labels(&self) -> usize {
        SequenceClassifier::n_labels(&self.model)
    }
}
