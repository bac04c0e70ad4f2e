//! [`BertEmbeddings`]: what the first block reads.
#![allow(non_snake_case)] // a checkpoint's name

use burn::module::Module;
use burn::nn::{Dropout, Embedding};
use burn::tensor::{Int, Tensor};
use peft_model::Context;

use crate::LayerNorm;
use crate::rows::{embedding, shared_embedding};

/// `norm(word + token type + position)`.
#[derive(Module, Debug)]
pub struct BertEmbeddings {
    /// `[vocabulary, d_model]`.
    pub word_embeddings: Embedding,
    /// `[position_offset + max_positions, d_model]`.
    pub position_embeddings: Embedding,
    /// `[n_token_types, d_model]`, where the family has it.
    pub token_type_embeddings: Option<Embedding>,
    /// The norm.
    pub LayerNorm: LayerNorm,
    /// After the norm.
    pub dropout: Dropout,
    pub(in crate::encoder) position_offset: usize,
}

impl BertEmbeddings {
    /// The embeddings of tokens alone, `[batch, positions]` to `[batch, positions, d_model]`.
    pub(in crate::encoder) fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        embedding(&self.word_embeddings, ids)
    }

    /// With the step from where [`begin`](Self::begin) counts a token to where RoBERTa does: its
    /// padding token, whose row is the one before the first position's, stays there and is not
    /// counted.
    ///
    /// ```text
    /// step = positions[n(i)] - positions[i],  n(i) = the tokens up to i that are no padding
    /// ```
    pub(in crate::encoder) fn embed_text(
        &self,
        ids: Tensor<2, Int>,
        context: &Context,
    ) -> Tensor<3> {
        let embeds = self.embed(ids.clone());
        let Some(padding) = self.position_offset.checked_sub(1) else {
            return embeds;
        };
        let (start, [_, positions]) = (context.cached(), ids.dims());
        // More of them than rows is what `begin` tells.
        let rows = self.position_embeddings.weight.lazy_shape()[0];
        if self.position_offset + start + positions > rows {
            return embeds;
        }
        let counts = ids.not_equal_elem(padding as i64).int();
        let counted = (counts.clone().cumsum(1) + start as i64) * counts + padding as i64;
        let all = context.places() + self.position_offset as i64;
        let table = &self.position_embeddings;
        embeds + (embedding(table, counted) - shared_embedding(table, all))
    }

    /// With what is added to them; of the same shape. Positions without types are of type 0, and so
    /// are all where the model knows no other.
    ///
    /// # Panics
    ///
    /// If there are more positions than the model has.
    pub(in crate::encoder) fn begin(&self, embeds: Tensor<3>, context: &Context) -> Tensor<3> {
        let rows = self.position_embeddings.weight.lazy_shape()[0];
        let (known, end) = (
            rows - self.position_offset,
            context.cached() + embeds.dims()[1],
        );
        assert!(end <= known, "{end} positions, but the model has {known}");
        let device = embeds.device();
        let mut x = embeds;
        if let Some(table) = &self.token_type_embeddings {
            let known = table.weight.lazy_shape()[0];
            x = x + match context.types().filter(|_| known > 1) {
                Some(types) => embedding(table, types.clone()),
                None => shared_embedding(table, Tensor::zeros([1, 1], &device)),
            };
        }
        let places = context.places() + self.position_offset as i64;
        let x = x + shared_embedding(&self.position_embeddings, places);
        self.dropout.forward(self.LayerNorm.forward(x))
    }
}
