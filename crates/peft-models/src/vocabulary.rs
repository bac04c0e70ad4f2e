//! [`LanguageModel::with_tokens`]: a larger vocabulary.

use burn::module::Param;
use burn::nn::{Embedding, Linear};
use burn::tensor::{Int, Tensor, TensorData};
use peft_core::FrozenWeight;

use crate::LanguageModel;

impl LanguageModel {
    /// The model with rows for more tokens, the first of which is `first`: as many as `of` has
    /// lists. A row begins as the mean of the rows of the tokens in its list, or of all those below
    /// `first` where that is empty; the same holds of an output layer of the model's own. Rows that
    /// are there already, as a vocabulary that was rounded up has them, are replaced.
    ///
    /// The scores of all other tokens are what they were.
    ///
    /// # Panics
    ///
    /// If a token of a list is not below `first`, or the model has fewer rows than `first`.
    #[must_use]
    pub fn with_tokens(self, first: usize, of: &[Vec<u32>]) -> Self {
        let size = self.config().vocab_size().max(first + of.len());
        match self {
            Self::Decoder(mut model) => {
                grow(&mut model.model.embed_tokens, first, of);
                model.lm_head = model.lm_head.map(|head| grown(&head, first, of));
                model.set_vocab_size(size);
                Self::Decoder(model)
            }
            Self::Gpt2(mut model) => {
                grow(&mut model.transformer.wte, first, of);
                model.lm_head = model.lm_head.map(|head| grown(&head, first, of));
                model.set_vocab_size(size);
                Self::Gpt2(model)
            }
        }
    }
}

fn grow(embedding: &mut Embedding, first: usize, of: &[Vec<u32>]) {
    let rows = FrozenWeight::of(&embedding.weight).dense();
    embedding.weight = Param::from_tensor(with_rows(rows, first, of));
}

/// A layer whose outputs are a token each.
fn grown(head: &Linear, first: usize, of: &[Vec<u32>]) -> Linear {
    let rows = FrozenWeight::of(&head.weight).dense().transpose();
    Linear {
        weight: Param::from_tensor(with_rows(rows, first, of).transpose()),
        bias: head.bias.clone().map(|bias| {
            let column: Tensor<2> = bias.val().unsqueeze_dim(1);
            Param::from_tensor(with_rows(column, first, of).squeeze_dim(1))
        }),
    }
}

/// `[max(rows, first + new), width]` of `[rows, width]`.
fn with_rows(rows: Tensor<2>, first: usize, of: &[Vec<u32>]) -> Tensor<2> {
    let (n, device) = (rows.dims()[0], rows.device());
    let known = rows.clone().narrow(0, 0, first);
    let mut parts = vec![known.clone()];
    parts.extend(of.iter().map(|tokens| {
        if tokens.is_empty() {
            return known.clone().mean_dim(0);
        }
        assert!(
            tokens.iter().all(|token| (*token as usize) < first),
            "a new token is made of known ones"
        );
        let ids: Vec<i32> = tokens.iter().map(|token| *token as i32).collect();
        let ids = TensorData::new(ids, [tokens.len()]);
        let ids = Tensor::<1, Int>::from_data(ids, &device);
        known.clone().select(0, ids).mean_dim(0)
    }));
    let end = first + of.len();
    if end < n {
        parts.push(rows.narrow(0, end, n - end));
    }
    Tensor::cat(parts, 0).detach()
}
