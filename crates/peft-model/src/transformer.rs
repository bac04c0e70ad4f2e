//! [`Transformer`]: running a model's stages, written once for every model.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};

use crate::{Attention, Context, KvCache, Pass, Read, Spec, Stages};

/// A model that can be run: it gives its [`Stages`], or those of the model inside it.
///
/// [`read`](Self::read) is a whole pass. In parts, with kept states between, it is
///
/// ```text
/// context = model.context(ids.dims(), pass, cache, device)
/// x = model.begin(ids, context)
/// x = model.run(x, 0..k, context, cache)       any ranges, each as often as is wanted
/// x = model.run(x, k..n_blocks, context, cache)
/// states = model.finish(x, context)
/// ```
pub trait Transformer: Module {
    /// The stages.
    fn stages(&self) -> &dyn Stages;

    /// The context of a pass over `[batch, positions]` new tokens behind what is cached.
    ///
    /// # Panics
    ///
    /// If lengths are not of as many rows, or beside segments.
    fn context(
        &self,
        dims: [usize; 2],
        pass: Pass,
        cache: Option<&KvCache>,
        device: &Device,
    ) -> Context {
        self.stages().context(dims, pass, cache, device)
    }

    /// What the first block reads of tokens.
    ///
    /// # Shapes
    ///
    /// `ids` is `[batch, positions]`, the result `[batch, positions, d_model]`, with virtual
    /// tokens before the text where the model reads some.
    fn begin(&self, ids: Tensor<2, Int>, context: &Context) -> Tensor<3> {
        self.stages().begin_text(ids, context)
    }

    /// Some of the blocks, one after the other, each on its device; the last one of all at the
    /// positions that are read alone: what it computes of the others are their keys and values.
    /// With a cache the new keys and values are appended to it; without one the same blocks can run
    /// again.
    ///
    /// # Shapes
    ///
    /// `x` is `[batch, positions, d_model]`, the result of the last block
    /// `[batch, positions or read, d_model]`.
    ///
    /// # Panics
    ///
    /// If a block gives states of other positions than those that are read.
    fn run(
        &self,
        x: Tensor<3>,
        blocks: Range<usize>,
        context: &Context,
        cache: Option<&mut KvCache>,
    ) -> Tensor<3> {
        self.stages().run(x, blocks, context, cache)
    }

    /// The states that heads read, of what the last block gave.
    ///
    /// # Shapes
    ///
    /// `x` is `[batch, positions or read, d_model]`; the result is without the states of virtual
    /// tokens, where these are not read.
    fn finish(&self, x: Tensor<3>, context: &Context) -> Tensor<3> {
        self.stages().finish(x, context)
    }

    /// A whole pass: the states that are read, and the context that they were computed in.
    ///
    /// # Shapes
    ///
    /// `ids` is `[batch, positions]`, the states are `[batch, read, d_model]`.
    ///
    /// # Panics
    ///
    /// As [`context`](Self::context); if a position that is read is beyond the row.
    fn read(
        &self,
        ids: Tensor<2, Int>,
        pass: Pass,
        cache: Option<&mut KvCache>,
    ) -> (Tensor<3>, Context) {
        let context = self.context(ids.dims(), pass, cache.as_deref(), &ids.device());
        let x = self.begin(ids, &context);
        let x = self.run(x, 0..self.n_blocks(), &context, cache);
        (self.finish(x, &context), context)
    }

    /// The states of a text. With a cache, positions count from what it holds and see it.
    ///
    /// # Shapes
    ///
    /// `ids` is `[batch, positions]`, `segments` `[batch, cached + positions]`, the result
    /// `[batch, positions, d_model]`.
    fn hidden(
        &self,
        ids: Tensor<2, Int>,
        segments: Option<Tensor<2, Int>>,
        cache: Option<&mut KvCache>,
    ) -> Tensor<3> {
        self.read(ids, Pass::new(segments), cache).0
    }

    /// The states of a text at some positions of each row alone.
    ///
    /// # Shapes
    ///
    /// `ids` and `segments` are `[batch, positions]`, `at` `[batch, read]`, the result
    /// `[batch, read, d_model]`.
    ///
    /// # Panics
    ///
    /// If a position is beyond the row.
    fn hidden_at(
        &self,
        ids: Tensor<2, Int>,
        segments: Option<Tensor<2, Int>>,
        at: Tensor<2, Int>,
    ) -> Tensor<3> {
        self.read(ids, Pass::new(segments).reading(Read::At(at)), None)
            .0
    }

    /// The states of vectors that need be no token's, as [`embed`](Self::embed) gives them.
    ///
    /// # Shapes
    ///
    /// `embeds` and the result are `[batch, positions, d_model]`.
    fn hidden_from(
        &self,
        embeds: Tensor<3>,
        segments: Option<Tensor<2, Int>>,
        cache: Option<&mut KvCache>,
    ) -> Tensor<3> {
        let [batch, positions, _] = embeds.dims();
        let pass = Pass::new(segments);
        let device = embeds.device();
        let context = self.context([batch, positions], pass, cache.as_deref(), &device);
        let x = self.stages().begin(embeds, &context);
        let x = self.run(x, 0..self.n_blocks(), &context, cache);
        self.finish(x, &context)
    }

    /// The embeddings of tokens, as they come from the table.
    ///
    /// # Shapes
    ///
    /// `ids` is `[batch, positions]`, the result `[batch, positions, d_model]`.
    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        self.stages().embed(ids)
    }

    /// The sizes.
    fn spec(&self) -> Spec {
        self.stages().spec()
    }

    /// How many blocks there are.
    fn n_blocks(&self) -> usize {
        self.spec().n_blocks
    }

    /// Width of the residual stream.
    fn d_model(&self) -> usize {
        self.spec().d_model
    }

    /// The number of tokens in the vocabulary.
    fn vocab_size(&self) -> usize {
        self.spec().vocab_size
    }

    /// The longest text: what virtual tokens leave of the sequence that the model was made for.
    fn max_positions(&self) -> usize {
        let stages = self.stages();
        let all = stages.spec().max_positions;
        all.saturating_sub(stages.n_virtual_tokens())
    }

    /// Heads and width of the keys and values of a block: `(n_kv_heads, head_dim)`.
    fn kv_shape(&self) -> (usize, usize) {
        let spec = self.spec();
        (spec.n_kv_heads, spec.head_dim)
    }

    /// An empty cache for this model.
    fn new_cache(&self) -> KvCache {
        KvCache::new(self.n_blocks())
    }

    /// Whether what is cached of `cached` positions, virtual tokens among them, still holds once a
    /// text grows to `length`: not where the rotation of all positions changes with the length. All
    /// positions are then to be read again, with an empty cache.
    fn cache_holds(&self, cached: usize, length: usize) -> bool {
        self.stages().cache_holds(cached, length)
    }
}

/// What is written once for all stages, whatever type of model they are in: [`Transformer`] has it
/// for models.
impl dyn Stages + '_ {
    /// As [`Transformer::context`].
    pub fn context(
        &self,
        dims: [usize; 2],
        pass: Pass,
        cache: Option<&KvCache>,
        device: &Device,
    ) -> Context {
        Context::new(self, dims, pass, cache, device)
    }

    /// As [`Transformer::begin`].
    pub fn begin_text(&self, ids: Tensor<2, Int>, context: &Context) -> Tensor<3> {
        let embeds = context.with_noise(self.embed_text(ids, context));
        self.begin(embeds, context)
    }

    /// As [`Transformer::run`].
    pub fn run(
        &self,
        mut x: Tensor<3>,
        blocks: Range<usize>,
        context: &Context,
        mut cache: Option<&mut KvCache>,
    ) -> Tensor<3> {
        for block in blocks {
            let attention = Attention::new(context, block, cache.as_deref_mut());
            let positions = x.dims()[1];
            x = self.block(block, context.at_block(block, x), attention);
            let read = context.read_by(block).map_or(positions, |at| at.dims()[1]);
            assert_eq!(x.dims()[1], read, "a block's states are of what is read");
            if block + 1 == self.spec().n_blocks {
                x = context.back(x);
            }
        }
        x
    }

    /// As [`Transformer::cache_holds`].
    pub fn cache_holds(&self, cached: usize, length: usize) -> bool {
        let length = length + self.n_virtual_tokens();
        (0..self.spec().n_blocks)
            .filter_map(|block| self.look(block).rope)
            .all(|rope| rope.cache_holds(cached, length))
    }
}
