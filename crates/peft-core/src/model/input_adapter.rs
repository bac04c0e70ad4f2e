//! [`InputAdapter`]: what changes a model by what it reads.

use burn::module::Module;
use burn::tensor::{Int, Tensor};

use super::{FromEmbeddings, KvCache, SequenceClassifier};

/// A soft prompt, a prefix: virtual tokens, which a model reads with a text and whose states are not the text's.
pub trait InputAdapter: Module + Sync + 'static {
    /// What its parameters lie under in a [`WithInput`](super::WithInput): `prompt`.
    const NAME: &'static str;

    /// How many positions it takes.
    fn n_virtual_tokens(&self) -> usize;

    /// [`FromEmbeddings::embed_text`] of a model that reads them too. By itself it is the tokens'
    /// embeddings: a model that is given others with them counts all.
    ///
    /// # Shapes
    ///
    /// `ids` is `[batch, positions]`, the result `[batch, positions, d_model]`.
    fn embed_text<M: FromEmbeddings>(
        &self,
        model: &M,
        ids: Tensor<2, Int>,
        start: usize,
    ) -> Tensor<3> {
        let _ = start;
        model.embed(ids)
    }

    /// [`FromEmbeddings::hidden_from`] of a model that reads them too. Where a model has read something with the cache already, it has read them with it; see
    /// [`KvCache::is_unread`]. What such a cache holds may come from another adapter around this one.
    ///
    /// # Shapes
    ///
    /// `embeds` and the result are `[batch, positions, d_model]`: the states of the text alone.
    fn hidden_from<M: FromEmbeddings>(
        &self,
        model: &M,
        embeds: Tensor<3>,
        segments: Option<Tensor<2, Int>>,
        cache: Option<&mut KvCache>,
    ) -> Tensor<3>;

    /// [`SequenceClassifier::classify`] of a model that reads them too.
    ///
    /// # Shapes
    ///
    /// `ids` and `segments` are `[batch, positions]`, the result `[batch, n_labels]`.
    fn classify<M: SequenceClassifier>(
        &self,
        model: &M,
        ids: Tensor<2, Int>,
        segments: Option<Tensor<2, Int>>,
    ) -> Tensor<2>;
}
