//! [`WithInput`]: a model and what it reads beside its text.

use std::fmt;

use burn::module::{
    Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor,
};
use burn::tensor::{Device, Int, Tensor};

use crate::{
    Attention, CausalLm, Context, InputAdapter, Look, SequenceClassifier, Spec, Stages,
    TokenClassifier, Transformer,
};

/// The type under which a traversal shows the module of an [`InputAdapter`]. `peft-core` knows
/// input adapters by it: it attaches nothing below, and freezes nothing there with the model.
pub const INPUT_ADAPTER: &str = "InputAdapter";

/// A model with an [`InputAdapter`], or without: then it is the model, to the bit.
///
/// It is what the model is, a [`CausalLm`] or a [`SequenceClassifier`], and may be inside another.
/// The model's parameters have the paths that they have alone; the adapter's lie under its
/// [`NAME`](InputAdapter::NAME). The adapter acts where a pass is prepared, begun and finished; the
/// blocks are the model's own.
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

    /// What acts in this pass.
    fn acting(&self, context: &Context) -> Option<&A> {
        self.input.as_ref().filter(|_| context.is_first())
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

impl<M: Transformer, A: InputAdapter> Stages for WithInput<M, A> {
    fn spec(&self) -> Spec {
        self.model.spec()
    }

    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        self.model.embed(ids)
    }

    fn embed_text(&self, ids: Tensor<2, Int>, context: &Context) -> Tensor<3> {
        let model = self.model.stages();
        match &self.input {
            Some(input) => input.embed_text(model, ids, context),
            None => model.embed_text(ids, context),
        }
    }

    fn begin(&self, embeds: Tensor<3>, context: &Context) -> Tensor<3> {
        let embeds = match self.acting(context) {
            Some(input) => input.begin(embeds),
            None => embeds,
        };
        self.model.stages().begin(embeds, context)
    }

    fn device(&self, block: usize) -> Option<Device> {
        self.model.stages().device(block)
    }

    fn look(&self, block: usize) -> Look<'_> {
        self.model.stages().look(block)
    }

    fn block(&self, block: usize, x: Tensor<3>, attention: Attention<'_>) -> Tensor<3> {
        self.model.stages().block(block, x, attention)
    }

    fn finish(&self, x: Tensor<3>, context: &Context) -> Tensor<3> {
        let states = self.model.finish(x, context);
        match self.acting(context) {
            Some(input) if context.reads_text() => input.finish(states),
            _ => states,
        }
    }

    fn prepare(&self, context: &mut Context) {
        if let Some(input) = self.acting(context) {
            input.prepare(context);
        }
        self.model.stages().prepare(context);
    }

    fn n_virtual_tokens(&self) -> usize {
        let own = self.input.as_ref().map_or(0, A::n_virtual_tokens);
        own + self.model.stages().n_virtual_tokens()
    }
}

impl<M: Transformer, A: InputAdapter> Transformer for WithInput<M, A> {
    fn stages(&self) -> &dyn Stages {
        self
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
}

impl<M: TokenClassifier, A: InputAdapter> TokenClassifier for WithInput<M, A> {
    fn token_logits(&self, hidden: Tensor<3>) -> Tensor<3> {
        self.model.token_logits(hidden)
    }

    fn n_labels(&self) -> usize {
        self.model.n_labels()
    }
}
