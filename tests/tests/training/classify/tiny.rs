//! A classifier as small as can be: the tanh of embeddings, and a linear head on their mean or on
//! each.

use burn::module::{Module, Param};
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor, activation::tanh};
use peft_model::{Attention, Look, SequenceClassifier, Spec, Stages, TokenClassifier, Transformer};

use crate::fixture::{D_MODEL, VOCABULARY, values};

#[derive(Module, Debug)]
pub(super) struct Tiny {
    pub(super) embed: Embedding,
    pub(super) head: Linear,
}

impl Tiny {
    /// The weights of the golden's model.
    pub(super) fn new(n_labels: usize, device: &Device) -> Self {
        let mut tiny = Self {
            embed: EmbeddingConfig::new(VOCABULARY, D_MODEL).init(device),
            head: LinearConfig::new(D_MODEL, n_labels).init(device),
        };
        tiny.embed.weight = Param::from_tensor(values([VOCABULARY, D_MODEL], 1.0, device));
        tiny.head.weight = Param::from_tensor(values([D_MODEL, n_labels], 2.0, device));
        tiny.head.bias = Some(Param::from_tensor(values([n_labels], 3.0, device)));
        tiny
    }

    fn n_labels(&self) -> usize {
        self.head.weight.dims()[1]
    }
}

impl Stages for Tiny {
    fn spec(&self) -> Spec {
        spec(D_MODEL, 1, VOCABULARY, 64)
    }

    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        self.embed.forward(ids)
    }

    fn look(&self, _: usize) -> Look<'_> {
        Look::ALL
    }

    fn block(&self, _: usize, x: Tensor<3>, attention: Attention<'_>) -> Tensor<3> {
        tanh(attention.queries(x))
    }
}

impl Transformer for Tiny {
    fn stages(&self) -> &dyn Stages {
        self
    }
}

/// The sizes of a model without attention.
fn spec(d_model: usize, n_blocks: usize, vocab_size: usize, max_positions: usize) -> Spec {
    Spec {
        d_model,
        n_blocks,
        vocab_size,
        max_positions,
        n_kv_heads: 1,
        head_dim: 1,
    }
}

impl SequenceClassifier for Tiny {
    fn class_logits(&self, hidden: Tensor<3>, segments: Option<Tensor<2, Int>>) -> Tensor<2> {
        let mean = match segments {
            None => hidden.mean_dim(1),
            Some(segments) => {
                let text = segments.equal_elem(0).float().unsqueeze_dim::<3>(2);
                (hidden * text.clone()).sum_dim(1) / text.sum_dim(1)
            }
        };
        self.head.forward(mean.squeeze_dim::<2>(1) * 4.0)
    }

    fn n_labels(&self) -> usize {
        self.n_labels()
    }
}

impl TokenClassifier for Tiny {
    fn token_logits(&self, hidden: Tensor<3>) -> Tensor<3> {
        self.head.forward(hidden * 4.0)
    }

    fn n_labels(&self) -> usize {
        self.n_labels()
    }
}

/// Scores as they are: token `i` alone is a text with the scores of row `i`.
#[derive(Module, Debug)]
pub(super) struct Table {
    pub(super) scores: Param<Tensor<2>>,
}

impl Stages for Table {
    fn spec(&self) -> Spec {
        let [vocab_size, d_model] = self.scores.dims();
        spec(d_model, 0, vocab_size, 1)
    }

    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let [rows, positions] = ids.dims();
        let flat = ids.reshape([rows * positions]);
        let scores = self.scores.val().select(0, flat);
        let n_labels = scores.dims()[1];
        scores.reshape([rows, positions, n_labels])
    }

    fn look(&self, _: usize) -> Look<'_> {
        Look::ALL
    }

    fn block(&self, _: usize, x: Tensor<3>, _: Attention<'_>) -> Tensor<3> {
        x
    }
}

impl Transformer for Table {
    fn stages(&self) -> &dyn Stages {
        self
    }
}

impl SequenceClassifier for Table {
    fn class_logits(&self, hidden: Tensor<3>, _: Option<Tensor<2, Int>>) -> Tensor<2> {
        hidden.squeeze_dim::<2>(1)
    }

    fn n_labels(&self) -> usize {
        self.d_model()
    }
}
