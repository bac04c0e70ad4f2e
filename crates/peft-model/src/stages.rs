//! [`Stages`]: what a family of transformers gives.

use burn::tensor::{Device, Int, Tensor};

use crate::{Attention, Context, Look};

/// The sizes of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spec {
    /// Width of the residual stream.
    pub d_model: usize,
    /// How many blocks there are.
    pub n_blocks: usize,
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// The longest sequence that the model was made for.
    pub max_positions: usize,
    /// Heads of the keys and values of a block.
    pub n_kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
}

/// A model in stages: embeddings, what the first block reads of them, a stack of blocks, a final
/// norm. A method can act between any two. [`Transformer`](crate::Transformer) runs them.
pub trait Stages {
    /// The sizes.
    fn spec(&self) -> Spec;

    /// The embeddings of tokens, as they come from the table: what a soft prompt's vectors are put
    /// beside. They know no positions.
    ///
    /// # Shapes
    ///
    /// `ids` is `[batch, positions]`, the result `[batch, positions, d_model]`.
    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3>;

    /// What [`begin`](Self::begin) reads of a text of tokens: their embeddings, and what the
    /// model's positions depend on the tokens themselves. RoBERTa does not count its padding
    /// token; of vectors that are no token's it counts all.
    ///
    /// # Shapes
    ///
    /// As [`embed`](Self::embed).
    fn embed_text(&self, ids: Tensor<2, Int>, context: &Context) -> Tensor<3> {
        let _ = context;
        self.embed(ids)
    }

    /// What the first block reads: the embeddings with whatever the model adds to them.
    ///
    /// # Shapes
    ///
    /// `embeds` and the result are `[batch, positions, d_model]`.
    fn begin(&self, embeds: Tensor<3>, context: &Context) -> Tensor<3> {
        let _ = context;
        embeds
    }

    /// The device that the parameters of a block are on, where that may be another than the others'
    /// (`BlockDevices` of `peft-layerwise`). What blocks read goes there, and what the last one
    /// gives comes back. None where all of the model is on the device of its tokens.
    fn device(&self, block: usize) -> Option<Device> {
        let _ = block;
        None
    }

    /// What the attention of a block sees.
    fn look(&self, block: usize) -> Look<'_>;

    /// One block. Its result is of the positions that are read:
    /// [`Attention::queries`] takes them of the residual stream.
    ///
    /// # Shapes
    ///
    /// `x` is `[batch, positions, d_model]`, the result `[batch, positions or read, d_model]`.
    fn block(&self, block: usize, x: Tensor<3>, attention: Attention<'_>) -> Tensor<3>;

    /// The final norm, where the model has one.
    ///
    /// # Shapes
    ///
    /// `x` and the result are `[batch, positions or read, d_model]`.
    fn finish(&self, x: Tensor<3>, context: &Context) -> Tensor<3> {
        let _ = context;
        x
    }

    /// What a pass reads beside the text: an input adapter's own. A model has none.
    fn prepare(&self, context: &mut Context) {
        let _ = context;
    }

    /// How many positions [`prepare`](Self::prepare) puts before a text.
    fn n_virtual_tokens(&self) -> usize {
        0
    }
}
