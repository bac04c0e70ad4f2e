//! [`InputAdapter`]: what changes a model by what it reads.

use burn::module::Module;
use burn::tensor::{Int, Tensor};

use crate::{Context, Stages};

/// A soft prompt, a prefix: virtual tokens, which a model reads with a text and whose states are
/// not the text's.
///
/// It acts in the passes that nothing was read before: a cache that was read with has them.
pub trait InputAdapter: Module + Sync + 'static {
    /// What its parameters lie under in a [`WithInput`](crate::WithInput): `prompt`.
    const NAME: &'static str;

    /// How many positions it takes.
    fn n_virtual_tokens(&self) -> usize;

    /// Say what it puts before the text: [`Context::insert`] positions, or [`Context::give`] keys
    /// and values. What others around it have put there already comes behind or before,
    /// as the two say.
    fn prepare(&self, context: &mut Context) {
        let _ = context;
    }

    /// [`Stages::embed_text`] of a model that reads them too. By itself it is the tokens'
    /// embeddings: a model that is given others with them counts all.
    ///
    /// # Shapes
    ///
    /// `ids` is `[batch, positions]`, the result `[batch, positions, d_model]`.
    fn embed_text(&self, model: &dyn Stages, ids: Tensor<2, Int>, context: &Context) -> Tensor<3> {
        let _ = context;
        model.embed(ids)
    }

    /// What the model begins with in place of a text's embeddings.
    ///
    /// # Shapes
    ///
    /// `embeds` is `[batch, positions, d_model]`, the result
    /// `[batch, inserted + positions, d_model]`.
    fn begin(&self, embeds: Tensor<3>) -> Tensor<3> {
        embeds
    }

    /// The states of the text alone, where those of all positions were computed and what was
    /// [inserted](Context::insert) is not read.
    ///
    /// # Shapes
    ///
    /// `states` is `[batch, inserted + positions, d_model]`, the result
    /// `[batch, positions, d_model]`.
    fn finish(&self, states: Tensor<3>) -> Tensor<3> {
        states
    }
}
