//! [`WithInput`]: a model and what it reads beside its text.

use std::fmt;
use std::ops::Range;

use burn::module::{
    Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor,
};
use burn::tensor::{Device, Int, Tensor};

use super::{
    CausalLm, FromEmbeddings, InputAdapter, KvCache, SequenceClassifier, TokenClassifier,
    Transformer, select_positions,
};

/// The type under which a traversal shows the module of an [`InputAdapter`].
pub(crate) const INPUT_ADAPTER: &str = "InputAdapter";

/// A model with an [`InputAdapter`], or without: then it is the model, to the bit.
///
/// It is what the model is, a [`CausalLm`] or a [`SequenceClassifier`], and may be inside another. The model's parameters have the paths that they have
/// alone; the adapter's lie under its [`NAME`](InputAdapter::NAME), where nothing else is attached or frozen with the model. The stages of [`Transformer`] are the model's own; the adapter acts in
/// [`hidden_from`](FromEmbeddings::hidden_from) and [`classify`](SequenceClassifier::classify).
#[derive(Debug, Clone)]
pub struct WithInput<M, A> {
    /// The model.
    pub model: M,
    /// What it reads beside its text.
    pub input: Option<A>,
}

impl<M, A> WithInput<M, A> {
    /// A model that reads its text alone.
    pub fn new(model: M) -> Self {
        Self { model, input: None }
    }
}

impl<M: Module, A: InputAdapter> WithInput<M, A> {
    fn each(self, model: impl FnOnce(M) -> M, input: impl FnOnce(A) -> A) -> Self {
        Self {
            model: model(self.model),
            input: self.input.map(input),
        }
    }

    fn n_virtual_tokens(&self) -> usize {
        self.input.as_ref().map_or(0, A::n_virtual_tokens)
    }
}

impl<M: Module, A: InputAdapter> Module for WithInput<M, A> {
    fn collect_devices(&self, devices: Devices) -> Devices {
        self.input
            .collect_devices(self.model.collect_devices(devices))
    }

    fn fork(self, device: &Device) -> Self {
        self.each(|m| m.fork(device), |a| a.fork(device))
    }

    fn to_device(self, device: &Device) -> Self {
        self.each(|m| m.to_device(device), |a| a.to_device(device))
    }

    fn train(self) -> Self {
        self.each(M::train, A::train)
    }

    fn valid(&self) -> Self {
        Self {
            model: self.model.valid(),
            input: self.input.as_ref().map(A::valid),
        }
    }

    fn materialize(self) -> Self {
        self.each(M::materialize, A::materialize)
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        self.model.visit(visitor);
        if let Some(input) = &self.input {
            visitor.enter_module(A::NAME, INPUT_ADAPTER);
            input.visit(visitor);
            visitor.exit_module(A::NAME, INPUT_ADAPTER);
        }
    }

    fn map<V: ModuleMapper>(self, mapper: &mut V) -> Self {
        let model = self.model.map(mapper);
        let input = self.input.map(|input| {
            mapper.enter_module(A::NAME, INPUT_ADAPTER);
            let input = input.map(mapper);
            mapper.exit_module(A::NAME, INPUT_ADAPTER);
            input
        });
        Self { model, input }
    }
}

impl<M: Module + ModuleDisplay, A: InputAdapter + ModuleDisplay> ModuleDisplayDefault
    for WithInput<M, A>
{
    fn content(&self, content: Content) -> Option<Content> {
        let content = ModuleDisplayDefault::content(&self.model, content)?;
        match &self.input {
            Some(input) => content.add(A::NAME, input).optional(),
            None => content.optional(),
        }
    }
}

impl<M: Module + ModuleDisplay, A: InputAdapter + ModuleDisplay> ModuleDisplay for WithInput<M, A> {}

impl<M: Module + ModuleDisplay, A: InputAdapter + ModuleDisplay> fmt::Display for WithInput<M, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.format(Default::default()))
    }
}

impl<M: FromEmbeddings, A: InputAdapter> FromEmbeddings for WithInput<M, A> {
    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        self.model.embed(ids)
    }

    fn embed_text(&self, ids: Tensor<2, Int>, start: usize) -> Tensor<3> {
        match &self.input {
            Some(input) => input.embed_text(&self.model, ids, start),
            None => self.model.embed_text(ids, start),
        }
    }

    fn hidden_from(
        &self,
        embeds: Tensor<3>,
        segments: Option<Tensor<2, Int>>,
        cache: Option<&mut KvCache>,
    ) -> Tensor<3> {
        match &self.input {
            Some(input) => input.hidden_from(&self.model, embeds, segments, cache),
            None => self.model.hidden_from(embeds, segments, cache),
        }
    }

    /// Positions are the text's.
    fn hidden_at(
        &self,
        embeds: Tensor<3>,
        segments: Option<Tensor<2, Int>>,
        at: Tensor<2, Int>,
    ) -> Tensor<3> {
        match &self.input {
            Some(input) => {
                let states = input.hidden_from(&self.model, embeds, segments, None);
                select_positions(states, at)
            }
            None => self.model.hidden_at(embeds, segments, at),
        }
    }
}

impl<M: Transformer, A: InputAdapter> Transformer for WithInput<M, A> {
    fn begin(&self, embeds: Tensor<3>, start: usize) -> Tensor<3> {
        self.model.begin(embeds, start)
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

    fn run_last(
        &self,
        x: Tensor<3>,
        segments: Option<Tensor<2, Int>>,
        at: Tensor<2, Int>,
    ) -> Tensor<3> {
        self.model.run_last(x, segments, at)
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

    /// What the virtual tokens leave of the model's own.
    fn max_positions(&self) -> usize {
        self.model
            .max_positions()
            .saturating_sub(self.n_virtual_tokens())
    }

    fn kv_shape(&self) -> (usize, usize) {
        self.model.kv_shape()
    }

    fn new_cache(&self) -> KvCache {
        self.model.new_cache()
    }

    /// `length` is that of the text.
    fn cache_holds(&self, cached: usize, length: usize) -> bool {
        self.model
            .cache_holds(cached, length + self.n_virtual_tokens())
    }
}

impl<M: CausalLm, A: InputAdapter> CausalLm for WithInput<M, A> {
    fn logits(&self, hidden: Tensor<3>) -> Tensor<3> {
        self.model.logits(hidden)
    }
}

impl<M: SequenceClassifier, A: InputAdapter> SequenceClassifier for WithInput<M, A> {
    fn class_logits(&self, hidden: Tensor<3>, segments: Option<Tensor<2, Int>>) -> Tensor<2> {
        self.model.class_logits(hidden, segments)
    }

    fn reads_first_position(&self) -> bool {
        self.model.reads_first_position()
    }

    fn n_labels(&self) -> usize {
        self.model.n_labels()
    }

    fn classify(&self, ids: Tensor<2, Int>, segments: Option<Tensor<2, Int>>) -> Tensor<2> {
        match &self.input {
            Some(input) => input.classify(&self.model, ids, segments),
            None => self.model.classify(ids, segments),
        }
    }
}

impl<M: TokenClassifier, A: InputAdapter> TokenClassifier for WithInput<M, A> {
    fn token_logits(&self, hidden: Tensor<3>) -> Tensor<3> {
        self.model.token_logits(hidden)
    }

    fn n_labels(&self) -> usize {
        self.model.n_labels()
    }
}
