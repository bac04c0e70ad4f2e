//! Models that a trunk is hard to keep of.

use std::ops::Range;

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};
use peft_core::{FromEmbeddings, InputAdapter, KvCache, SequenceClassifier, Transformer};
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

    fn hidden_from<M: FromEmbeddings>(
        &self,
        model: &M,
        embeds: Tensor<3>,
        segments: Option<Tensor<2, Int>>,
        cache: Option<&mut KvCache>,
    ) -> Tensor<3> {
        let mean = embeds.clone().mean_dim(1) * self.scale.val().unsqueeze();
        model.hidden_from(embeds + mean, segments, cache)
    }

    fn classify<M: SequenceClassifier>(
        &self,
        model: &M,
        ids: Tensor<2, Int>,
        segments: Option<Tensor<2, Int>>,
    ) -> Tensor<2> {
        let hidden = self.hidden_from(model, model.embed(ids), segments.clone(), None);
        model.class_logits(hidden, segments)
    }
}

/// An encoder whose input is shifted by a parameter that it declares last, and by the shape of the batch.
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

impl FromEmbeddings for Odd {
    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        self.model.embed(ids) + self.shift.val().unsqueeze()
    }

    fn hidden_from(
        &self,
        embeds: Tensor<3>,
        segments: Option<Tensor<2, Int>>,
        cache: Option<&mut KvCache>,
    ) -> Tensor<3> {
        self.stages(embeds, segments, cache)
    }
}

impl Transformer for Odd {
    fn begin(&self, embeds: Tensor<3>, start: usize) -> Tensor<3> {
        let [rows, positions, _] = embeds.dims();
        let by_shape = self.by_shape * (rows + positions) as f64;
        self.model.begin(embeds, start) + by_shape
    }

    fn n_blocks(&self) -> usize {
        self.model.n_blocks()
    }

    fn run_blocks(
        &self,
        x: Tensor<3>,
        blocks: Range<usize>,
        segments: Option<Tensor<2, Int>>,
        cache: Option<&mut KvCache>,
    ) -> Tensor<3> {
        self.model.run_blocks(x, blocks, segments, cache)
    }

    fn finish(&self, x: Tensor<3>) -> Tensor<3> {
        self.model.finish(x)
    }

    fn d_model(&self) -> usize {
        self.model.d_model()
    }

    fn vocab_size(&self) -> usize {
        self.model.vocab_size()
    }

    fn max_positions(&self) -> usize {
        self.model.max_positions()
    }

    fn kv_shape(&self) -> (usize, usize) {
        self.model.kv_shape()
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
